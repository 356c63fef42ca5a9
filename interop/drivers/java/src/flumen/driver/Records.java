package flumen.driver;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeaders;

/** Records, partitions and settings between the protocol's JSON and the library's classes. */
final class Records {
    private Records() {}

    static ProducerRecord<byte[], byte[]> read(String topic, JsonNode fields) throws IOException {
        RecordHeaders headers = new RecordHeaders();
        for (JsonNode header : fields.get("headers")) {
            headers.add(header.get(0).asText(), bytes(header.get(1)));
        }
        long timestamp = fields.get("timestamp").asLong();
        return new ProducerRecord<>(
                topic,
                fields.get("partition").asInt(),
                timestamp < 0 ? null : timestamp,
                bytes(fields.get("key")),
                bytes(fields.get("value")),
                headers);
    }

    static void write(ConsumerRecord<byte[], byte[]> record, ObjectNode fields) {
        fields.put("topic", record.topic());
        fields.put("partition", record.partition());
        fields.put("offset", record.offset());
        fields.put("timestamp", record.timestamp());
        // Jackson writes byte arrays in base64, and a null array as null.
        fields.put("key", record.key());
        fields.put("value", record.value());
        ArrayNode headers = fields.putArray("headers");
        for (Header header : record.headers()) {
            headers.addArray().add(header.key()).add(header.value());
        }
    }

    /** The partition that a request names with {@code topic} and {@code partition}. */
    static TopicPartition partition(JsonNode request) {
        return new TopicPartition(
                request.get("topic").asText(), request.get("partition").asInt());
    }

    static List<TopicPartition> partitions(JsonNode pairs) {
        List<TopicPartition> found = new ArrayList<>();
        for (JsonNode pair : pairs) {
            found.add(new TopicPartition(pair.get(0).asText(), pair.get(1).asInt()));
        }
        return found;
    }

    static void write(Iterable<TopicPartition> partitions, ArrayNode pairs) {
        for (TopicPartition partition : partitions) {
            pairs.addArray().add(partition.topic()).add(partition.partition());
        }
    }

    /** The object under {@code name}, empty where the request has none. */
    static Map<String, String> settings(JsonNode request, String name) {
        Map<String, String> settings = new TreeMap<>();
        for (Map.Entry<String, JsonNode> field : request.path(name).properties()) {
            settings.put(field.getKey(), field.getValue().asText());
        }
        return settings;
    }

    private static byte[] bytes(JsonNode text) throws IOException {
        return text.isNull() ? null : text.binaryValue();
    }
}
