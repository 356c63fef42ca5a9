package flumen.driver;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.Future;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/** Java's producer; it is kept for the next request that wants the same settings. */
final class Producing implements AutoCloseable {
    private final String bootstrap;
    private Map<String, Object> settings = Map.of();
    private KafkaProducer<byte[], byte[]> producer;

    Producing(String bootstrap) {
        this.bootstrap = bootstrap;
    }

    void register(Frame frame) {
        frame.on("produce", this::produce);
        frame.on("begin_transaction", this::beginTransaction);
    }

    @Override
    public void close() {
        if (producer != null) {
            producer.close(Duration.ofSeconds(5));
            producer = null;
        }
    }

    private void produce(JsonNode request, ObjectNode ok) throws Exception {
        Map<String, Object> wanted = new TreeMap<>();
        wanted.put("compression.type", request.get("compression").asText());
        wanted.put("acks", request.get("acks").asText());
        wanted.put("enable.idempotence", request.get("idempotent").asBoolean());
        use(wanted, request);
        String topic = request.get("topic").asText();
        List<Future<RecordMetadata>> sent = new ArrayList<>();
        for (JsonNode record : request.get("records")) {
            sent.add(producer.send(Records.read(topic, record)));
        }
        producer.flush();
        ArrayNode offsets = ok.putArray("offsets");
        for (Future<RecordMetadata> delivery : sent) {
            offsets.add(delivery.get().offset());
        }
    }

    /** Does everything up to a transaction's first record; only Java's own stories ask for it. */
    private void beginTransaction(JsonNode request, ObjectNode ok) {
        use(new TreeMap<>(Map.of("transactional.id", request.get("id").asText())), request);
        producer.initTransactions();
        producer.beginTransaction();
    }

    private void use(Map<String, Object> wanted, JsonNode request) {
        wanted.put("bootstrap.servers", bootstrap);
        wanted.put("linger.ms", 5);
        wanted.put("batch.size", 1 << 18);
        wanted.putAll(Records.settings(request, "settings"));
        if (producer == null || !wanted.equals(settings)) {
            close();
            producer =
                    new KafkaProducer<>(
                            wanted, new ByteArraySerializer(), new ByteArraySerializer());
            settings = wanted;
        }
    }
}
