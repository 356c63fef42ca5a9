package flumen.interop;

import java.io.BufferedOutputStream;
import java.io.DataOutputStream;
import java.io.FileOutputStream;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.TreeMap;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/**
 * Consumes with Java's own consumer into a record file: {@code Drain FILE TOPIC COUNT DEADLINE_MS
 * name=value...}. With a {@code group.id} it joins the group and commits exactly what it wrote;
 * without, it reads every partition from the start. Stops at COUNT records, or, with what it has
 * by then, at the deadline.
 */
public final class Drain {
    private Drain() {}

    public static void main(String[] arguments) throws Exception {
        String topic = arguments[1];
        long left = Long.parseLong(arguments[2]);
        long deadline = System.currentTimeMillis() + Long.parseLong(arguments[3]);
        Properties properties = Settings.parse(arguments, 4);
        boolean grouped = properties.containsKey("group.id");
        properties.put("enable.auto.commit", "false");
        properties.putIfAbsent("auto.offset.reset", "earliest");
        try (DataOutputStream out =
                        new DataOutputStream(
                                new BufferedOutputStream(
                                        new FileOutputStream(arguments[0]), 1 << 16));
                KafkaConsumer<byte[], byte[]> consumer =
                        new KafkaConsumer<>(
                                properties,
                                new ByteArrayDeserializer(),
                                new ByteArrayDeserializer())) {
            if (grouped) {
                consumer.subscribe(List.of(topic));
            } else {
                List<TopicPartition> all =
                        consumer.partitionsFor(topic).stream()
                                .map(found -> new TopicPartition(topic, found.partition()))
                                .toList();
                consumer.assign(all);
                consumer.seekToBeginning(all);
            }
            TreeMap<Integer, Long> next = new TreeMap<>();
            while (left > 0 && System.currentTimeMillis() < deadline) {
                for (ConsumerRecord<byte[], byte[]> record :
                        consumer.poll(Duration.ofMillis(200))) {
                    if (left == 0) {
                        break;
                    }
                    RecordFile.write(out, record);
                    next.put(record.partition(), record.offset() + 1);
                    left--;
                }
            }
            if (grouped) {
                Map<TopicPartition, OffsetAndMetadata> offsets = new HashMap<>();
                next.forEach(
                        (partition, offset) ->
                                offsets.put(
                                        new TopicPartition(topic, partition),
                                        new OffsetAndMetadata(offset)));
                consumer.commitSync(offsets);
            }
        }
    }
}
