package flumen.driver;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.consumer.KafkaShareConsumer;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/** Java's share consumer, as far as to hear whether the broker has share groups. */
final class Sharing {
    private final String bootstrap;

    Sharing(String bootstrap) {
        this.bootstrap = bootstrap;
    }

    void register(Frame frame) {
        frame.on("share", this::share);
    }

    /** Joins the share group and counts the records of one poll. */
    private void share(JsonNode request, ObjectNode ok) {
        Map<String, Object> settings =
                Map.of("bootstrap.servers", bootstrap, "group.id", request.get("group").asText());
        try (KafkaShareConsumer<byte[], byte[]> consumer =
                new KafkaShareConsumer<>(
                        settings, new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
            consumer.subscribe(List.of(request.get("topic").asText()));
            Duration wait = Duration.ofMillis(request.get("timeout_ms").asLong());
            ok.put("count", consumer.poll(wait).count());
        }
    }
}
