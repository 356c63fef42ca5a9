package flumen.interop;

import java.io.BufferedInputStream;
import java.io.DataInputStream;
import java.io.FileInputStream;
import java.util.ArrayDeque;
import java.util.Properties;
import java.util.Queue;
import java.util.concurrent.Future;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/**
 * Produces a record file with Java's own producer: {@code Feed FILE TOPIC name=value...}, the
 * properties being the producer's. Exits non-zero unless every record was acknowledged.
 */
public final class Feed {
    /** Acknowledgements asked for at most this many records late, so that memory stays bounded. */
    private static final int OUTSTANDING_MAX = 10_000;

    private Feed() {}

    public static void main(String[] arguments) throws Exception {
        Properties properties = Settings.parse(arguments, 2);
        try (DataInputStream in =
                        new DataInputStream(
                                new BufferedInputStream(new FileInputStream(arguments[0]), 1 << 16));
                KafkaProducer<byte[], byte[]> producer =
                        new KafkaProducer<>(
                                properties, new ByteArraySerializer(), new ByteArraySerializer())) {
            Queue<Future<RecordMetadata>> outstanding = new ArrayDeque<>();
            long sent = 0;
            ProducerRecord<byte[], byte[]> record;
            while ((record = RecordFile.read(in, arguments[1])) != null) {
                outstanding.add(producer.send(record));
                sent++;
                if (outstanding.size() >= OUTSTANDING_MAX) {
                    outstanding.remove().get();
                }
            }
            producer.flush();
            for (Future<RecordMetadata> future : outstanding) {
                future.get();
            }
            System.out.println("acknowledged " + sent);
        }
    }
}
