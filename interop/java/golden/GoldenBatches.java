import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HexFormat;
import java.util.zip.CRC32;

import org.apache.kafka.common.compress.Compression;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.record.TimestampType;
import org.apache.kafka.common.record.internal.CompressionType;
import org.apache.kafka.common.record.internal.ControlRecordType;
import org.apache.kafka.common.record.internal.DefaultRecordBatch;
import org.apache.kafka.common.record.internal.EndTransactionMarker;
import org.apache.kafka.common.record.internal.MemoryRecords;
import org.apache.kafka.common.record.internal.MemoryRecordsBuilder;
import org.apache.kafka.common.record.internal.MutableRecordBatch;
import org.apache.kafka.common.record.internal.Record;
import org.apache.kafka.common.record.internal.RecordBatch;
import org.apache.kafka.common.utils.internals.ByteBufferOutputStream;

/**
 * Writes protocol/tests/golden/batches.txt: record batches as Apache Kafka's own classes build them.
 *
 * To run it, with kafka-clients 4.4.0 and what it depends on in a folder:
 *
 *   java -cp 'LIBS/*' interop/java/golden/GoldenBatches.java > protocol/tests/golden/batches.txt
 *
 * Given a file of the same form it reads that instead, checks every checksum and prints what it finds.
 */
public final class GoldenBatches {
    private static final int LEADER_EPOCH = 7;

    public static void main(String[] args) throws Exception {
        if (args.length == 1) {
            for (String line : Files.readAllLines(Path.of(args[0]))) {
                if (!line.startsWith("#")) {
                    read(line.split(" "));
                }
            }
            return;
        }
        System.out.println("# Written by interop/java/golden/GoldenBatches.java, Apache Kafka 4.4.0.");
        System.out.println("# name bytes");
        for (CompressionType codec : CompressionType.values()) {
            MemoryRecordsBuilder builder = builder(codec, TimestampType.CREATE_TIME, false, RecordBatch.NO_TIMESTAMP);
            appendRecords(builder);
            write(codec.name, builder);
        }
        for (CompressionType codec : CompressionType.values()) {
            if (codec != CompressionType.NONE) {
                MemoryRecordsBuilder builder = builder(codec, TimestampType.CREATE_TIME, false, RecordBatch.NO_TIMESTAMP);
                builder.append(1000L, null, large());
                write("large_" + codec.name, builder);
            }
        }
        MemoryRecordsBuilder appendTime = builder(CompressionType.NONE, TimestampType.LOG_APPEND_TIME, false, RecordBatch.NO_TIMESTAMP);
        appendRecords(appendTime);
        write("log_append_time", appendTime);
        MemoryRecordsBuilder transactional = builder(CompressionType.NONE, TimestampType.CREATE_TIME, true, RecordBatch.NO_TIMESTAMP);
        appendRecords(transactional);
        write("transactional", transactional);
        MemoryRecordsBuilder horizon = builder(CompressionType.NONE, TimestampType.CREATE_TIME, false, 50_000L);
        appendRecords(horizon);
        write("delete_horizon", horizon);
        for (ControlRecordType type : new ControlRecordType[] {ControlRecordType.ABORT, ControlRecordType.COMMIT}) {
            MemoryRecords marker = MemoryRecords.withEndTransactionMarker(
                100L, 1000L, LEADER_EPOCH, 4711L, (short) 3, new EndTransactionMarker(type, 12));
            write(type.name().toLowerCase(), marker.buffer());
        }
        ByteBuffer empty = ByteBuffer.allocate(DefaultRecordBatch.RECORD_BATCH_OVERHEAD);
        DefaultRecordBatch.writeEmptyHeader(
            empty, RecordBatch.MAGIC_VALUE_V2, 4711L, (short) 3, 9, 100L, 102L, LEADER_EPOCH,
            TimestampType.CREATE_TIME, 1005L, true, false);
        empty.flip();
        write("empty", empty);
    }

    private static MemoryRecordsBuilder builder(
            CompressionType codec, TimestampType type, boolean transactional, long horizon) {
        return new MemoryRecordsBuilder(
            new ByteBufferOutputStream(1024), RecordBatch.MAGIC_VALUE_V2, Compression.of(codec).build(), type, 100L,
            type == TimestampType.LOG_APPEND_TIME ? 2000L : RecordBatch.NO_TIMESTAMP,
            transactional ? 4711L : RecordBatch.NO_PRODUCER_ID,
            transactional ? (short) 3 : RecordBatch.NO_PRODUCER_EPOCH,
            transactional ? Integer.MAX_VALUE - 1 : RecordBatch.NO_SEQUENCE,
            transactional, false, LEADER_EPOCH, Integer.MAX_VALUE, horizon);
    }

    private static void appendRecords(MemoryRecordsBuilder builder) {
        Header[] headers = {
            new RecordHeader("name", bytes("one")), new RecordHeader("name", null), new RecordHeader("", bytes("")),
        };
        builder.append(1000L, bytes("key"), bytes("value"), headers);
        builder.append(999L, null, new byte[200]);
        builder.append(1005L, bytes("key"), null);
    }

    private static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    /** More than one block of any codec that has blocks of 32 or 64 KiB. */
    private static byte[] large() {
        byte[] bytes = new byte[150_000];
        for (int i = 0; i < bytes.length; i++) {
            bytes[i] = (byte) (i / 1000);
        }
        return bytes;
    }

    private static void write(String name, MemoryRecordsBuilder builder) {
        write(name, builder.build().buffer());
    }

    private static void write(String name, ByteBuffer buffer) {
        byte[] bytes = new byte[buffer.remaining()];
        buffer.duplicate().get(bytes);
        System.out.println(name + " " + HexFormat.of().formatHex(bytes));
    }

    private static void read(String[] fields) {
        MemoryRecords records = MemoryRecords.readableRecords(ByteBuffer.wrap(HexFormat.of().parseHex(fields[1])));
        for (MutableRecordBatch batch : records.batches()) {
            batch.ensureValid();
            System.out.println(fields[0] + ": " + batch + " producer " + batch.producerId() + "/" + batch.producerEpoch()
                + " max timestamp " + batch.maxTimestamp() + " horizon " + batch.deleteHorizonMs());
            for (Record record : batch) {
                record.ensureValid();
                System.out.println("  " + record.offset() + " " + record.timestamp() + " key " + sum(record.key())
                    + " value " + sum(record.value()) + " headers " + java.util.Arrays.toString(record.headers()));
            }
        }
    }

    private static String sum(ByteBuffer buffer) {
        if (buffer == null) {
            return "null";
        }
        CRC32 crc = new CRC32();
        int size = buffer.remaining();
        crc.update(buffer.duplicate());
        return size + ":" + Long.toHexString(crc.getValue());
    }
}
