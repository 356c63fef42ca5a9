package flumen.driver;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.apache.kafka.clients.consumer.CloseOptions;
import org.apache.kafka.clients.consumer.Consumer;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/** The one consumer of a driver, Java's own; as a listener it hears what is taken away from it. */
final class Consuming implements AutoCloseable, ConsumerRebalanceListener {
    private static final Duration CLOSE_MAX = Duration.ofSeconds(5);

    private final String bootstrap;
    private Consumer<byte[], byte[]> consumer;

    /** Where to go on behind what {@code poll} gave: what a commit names. */
    private final Map<TopicPartition, OffsetAndMetadata> next = new HashMap<>();

    /** Every partition that was taken away since the last {@code revoked}, in that order. */
    private final List<TopicPartition> revoked = new ArrayList<>();

    Consuming(String bootstrap) {
        this.bootstrap = bootstrap;
    }

    void register(Frame frame) {
        frame.on("open", this::open);
        frame.on("poll", this::poll);
        frame.on("assignment", this::assignment);
        frame.on("revoked", this::revoked);
        frame.on("seek", this::seek);
        frame.on("pause", (request, ok) -> opened().pause(pairs(request)));
        frame.on("resume", (request, ok) -> opened().resume(pairs(request)));
        frame.on("commit", this::commit);
        frame.on("close", (request, ok) -> closed(opened()));
    }

    @Override
    public void close() {
        if (consumer != null) {
            closed(consumer);
        }
    }

    private void open(JsonNode request, ObjectNode ok) {
        if (consumer != null) {
            throw new IllegalStateException("a consumer is open already");
        }
        Map<String, Object> settings = new TreeMap<>();
        settings.put("bootstrap.servers", bootstrap);
        settings.put("enable.auto.commit", false);
        // After a seek the library waits for the fetch that was under way before it sends another.
        settings.put("fetch.max.wait.ms", 100);
        settings.put("auto.offset.reset", request.get("from").asText());
        if (!request.get("group").isNull()) {
            settings.put("group.id", request.get("group").asText());
        }
        JsonNode session = request.path("config").path("session_timeout_ms");
        if (session.isNumber()) {
            settings.put("session.timeout.ms", session.asInt());
            settings.put("heartbeat.interval.ms", session.asInt() / 3);
        }
        settings.putAll(Records.settings(request, "settings"));
        consumer =
                new KafkaConsumer<>(
                        settings, new ByteArrayDeserializer(), new ByteArrayDeserializer());
        if (request.has("assign")) {
            consumer.assign(Records.partitions(request.get("assign")));
        } else {
            List<String> topics = new ArrayList<>();
            request.get("topics").forEach(topic -> topics.add(topic.asText()));
            consumer.subscribe(topics, this);
        }
    }

    private void poll(JsonNode request, ObjectNode ok) {
        int max = request.get("max").asInt();
        ConsumerRecords<byte[], byte[]> polled =
                opened().poll(Duration.ofMillis(request.get("timeout_ms").asLong()));
        ArrayNode records = ok.putArray("records");
        for (TopicPartition partition : polled.partitions()) {
            for (ConsumerRecord<byte[], byte[]> record : polled.records(partition)) {
                if (records.size() == max) {
                    // What was not given was not read: the consumer stands before it again.
                    consumer.seek(partition, record.offset());
                    break;
                }
                Records.write(record, records.addObject());
                next.put(
                        partition,
                        new OffsetAndMetadata(record.offset() + 1, record.leaderEpoch(), ""));
            }
        }
    }

    private void assignment(JsonNode request, ObjectNode ok) {
        Records.write(opened().assignment(), ok.putArray("partitions"));
    }

    /** Asks for what only Java's own stories ask: how much a rebalance took away. */
    private void revoked(JsonNode request, ObjectNode ok) {
        Records.write(revoked, ok.putArray("partitions"));
        revoked.clear();
    }

    private void seek(JsonNode request, ObjectNode ok) {
        opened().seek(Records.partition(request), request.get("offset").asLong());
    }

    private void commit(JsonNode request, ObjectNode ok) {
        opened().commitSync(next);
        ArrayNode offsets = ok.putArray("offsets");
        next.forEach(
                (partition, behind) ->
                        offsets.addArray()
                                .add(partition.topic())
                                .add(partition.partition())
                                .add(behind.offset()));
        next.clear();
    }

    @Override
    public void onPartitionsRevoked(Collection<TopicPartition> partitions) {
        revoked.addAll(partitions);
        next.keySet().removeAll(partitions);
    }

    @Override
    public void onPartitionsAssigned(Collection<TopicPartition> partitions) {}

    private void closed(Consumer<byte[], byte[]> closing) {
        consumer = null;
        next.clear();
        revoked.clear();
        closing.close(CloseOptions.timeout(CLOSE_MAX));
    }

    private Consumer<byte[], byte[]> opened() {
        if (consumer == null) {
            throw new IllegalStateException("no consumer is open");
        }
        return consumer;
    }

    private static List<TopicPartition> pairs(JsonNode request) {
        return Records.partitions(request.get("partitions"));
    }
}
