package flumen.interop;

import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.EOFException;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeaders;

/**
 * The file format in which records travel between the Python suite and the Java programs; its
 * other half is suite/records.py.
 *
 * <p>One record after the other, integers big-endian: partition (int), offset (long), timestamp
 * (long, -1 = the client's choice), key, value, header count (int), then each header's key and
 * value. A byte string is its length (int, -1 = null) and its bytes.
 */
final class RecordFile {
    private RecordFile() {}

    /** Reads the next record, addressed to {@code topic}; null at the end of the file. */
    static ProducerRecord<byte[], byte[]> read(DataInputStream in, String topic)
            throws IOException {
        int partition;
        try {
            partition = in.readInt();
        } catch (EOFException end) {
            return null;
        }
        in.readLong();
        long timestamp = in.readLong();
        byte[] key = bytes(in);
        byte[] value = bytes(in);
        RecordHeaders headers = new RecordHeaders();
        for (int left = in.readInt(); left > 0; left--) {
            String name = new String(bytes(in), StandardCharsets.UTF_8);
            headers.add(name, bytes(in));
        }
        Integer chosen = partition < 0 ? null : partition;
        return new ProducerRecord<>(
                topic, chosen, timestamp < 0 ? null : timestamp, key, value, headers);
    }

    static void write(DataOutputStream out, ConsumerRecord<byte[], byte[]> record)
            throws IOException {
        out.writeInt(record.partition());
        out.writeLong(record.offset());
        out.writeLong(record.timestamp());
        write(out, record.key());
        write(out, record.value());
        Header[] headers = record.headers().toArray();
        out.writeInt(headers.length);
        for (Header header : headers) {
            write(out, header.key().getBytes(StandardCharsets.UTF_8));
            write(out, header.value());
        }
    }

    private static byte[] bytes(DataInputStream in) throws IOException {
        int length = in.readInt();
        return length < 0 ? null : in.readNBytes(length);
    }

    private static void write(DataOutputStream out, byte[] bytes) throws IOException {
        out.writeInt(bytes == null ? -1 : bytes.length);
        if (bytes != null) {
            out.write(bytes);
        }
    }
}
