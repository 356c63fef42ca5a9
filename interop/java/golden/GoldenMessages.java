import java.lang.reflect.Constructor;
import java.lang.reflect.Field;
import java.lang.reflect.Modifier;
import java.lang.reflect.ParameterizedType;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HexFormat;
import java.util.List;
import java.util.TreeSet;

import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.message.ApiMessageType;
import org.apache.kafka.common.message.ConsumerProtocolAssignment;
import org.apache.kafka.common.message.ConsumerProtocolSubscription;
import org.apache.kafka.common.protocol.Message;
import org.apache.kafka.common.protocol.MessageUtil;
import org.apache.kafka.common.protocol.types.BoundField;
import org.apache.kafka.common.protocol.types.Schema;
import org.apache.kafka.common.protocol.types.TaggedFields;
import org.apache.kafka.common.record.internal.MemoryRecords;
import org.apache.kafka.common.utils.internals.ImplicitLinkedHashMultiCollection;
import org.apache.kafka.coordinator.group.generated.GroupMetadataKey;
import org.apache.kafka.coordinator.group.generated.GroupMetadataValue;
import org.apache.kafka.coordinator.group.generated.OffsetCommitKey;
import org.apache.kafka.coordinator.group.generated.OffsetCommitValue;

/**
 * Writes protocol/tests/golden/messages.txt: messages as Apache Kafka's own classes encode them.
 *
 * Every API is there that clients and admin tools call, in its first, first flexible and last
 * version; so are the consumer protocol and the records of classic groups. Every field that a version
 * has carries a value made from the field's name, so that the test can tell which field it belongs
 * to; arrays have two equal elements. Beside it stands the message that nobody filled. To run it, with
 * kafka-clients and kafka-group-coordinator 4.4.0 and what they depend on in a folder:
 *
 *   java -cp 'LIBS/*' interop/java/golden/GoldenMessages.java > protocol/tests/golden/messages.txt
 */
@SuppressWarnings("unchecked")
public final class GoldenMessages {
    public static void main(String[] arguments) throws Exception {
        System.out.println("# Written by interop/java/golden/GoldenMessages.java, Apache Kafka 4.4.0.");
        System.out.println("# message version bytes bytes-of-defaults");
        for (ApiMessageType api : ApiMessageType.values()) {
            if (api.lowestSupportedVersion() > api.highestSupportedVersion(true) || isInternal(api)) {
                continue;
            }
            for (short version : versions(api)) {
                print(api.newRequest(), version);
                print(api.newResponse(), version);
            }
        }
        for (short version = 0; version <= 3; version++) {
            print(new ConsumerProtocolSubscription(), version);
            print(new ConsumerProtocolAssignment(), version);
        }
        print(new OffsetCommitKey(), (short) 0);
        print(new GroupMetadataKey(), (short) 0);
        for (short version = 0; version <= 4; version++) {
            print(new OffsetCommitValue(), version);
            print(new GroupMetadataValue(), version);
        }
    }

    /**
     * Says whether only Kafka's own brokers and controllers send the request. Envelope is theirs as well, but
     * Flumen's brokers send it to each other.
     */
    private static boolean isInternal(ApiMessageType api) {
        if (api == ApiMessageType.ENVELOPE) {
            return false;
        }
        boolean betweenBrokers = api.apiKey() >= 83 && api.apiKey() <= 87;
        return betweenBrokers || !api.listeners().contains(ApiMessageType.ListenerType.BROKER);
    }

    private static TreeSet<Short> versions(ApiMessageType api) {
        short first = api.lowestSupportedVersion();
        short last = api.highestSupportedVersion(true);
        TreeSet<Short> versions = new TreeSet<>(List.of(first, last));
        for (short version = first; version <= last; version++) {
            if (api.requestHeaderVersion(version) >= 2) {
                versions.add(version);
                break;
            }
        }
        return versions;
    }

    private static void print(Message message, short version) throws Exception {
        String defaults = hex(message, version);
        fill(message, version);
        String name = message.getClass().getSimpleName().replaceAll("Data$", "");
        System.out.println(name + " " + version + " " + hex(message, version) + " " + defaults);
    }

    private static String hex(Message message, short version) {
        ByteBuffer buffer = MessageUtil.toByteBufferAccessor(message, version).buffer();
        byte[] bytes = new byte[buffer.remaining()];
        buffer.get(bytes);
        return bytes.length == 0 ? "-" : HexFormat.of().formatHex(bytes);
    }

    private static void fill(Object struct, short version) throws Exception {
        Schema[] schemas = (Schema[]) struct.getClass().getField("SCHEMAS").get(null);
        for (BoundField field : schemas[version].fields()) {
            if (field.def.type instanceof TaggedFields tagged) {
                for (var one : tagged.fields().values()) {
                    set(struct, one.name, one.type.toString(), version);
                }
            } else {
                set(struct, field.def.name, field.def.type.toString(), version);
            }
        }
    }

    private static void set(Object struct, String name, String type, short version) throws Exception {
        Field field = struct.getClass().getDeclaredField(camelCase(name));
        field.setAccessible(true);
        field.set(struct, value(field, name, type, version));
    }

    private static Object value(Field field, String name, String type, short version) throws Exception {
        Class<?> kind = field.getType();
        if (ImplicitLinkedHashMultiCollection.class.isAssignableFrom(kind)) {
            var parent = (ParameterizedType) kind.getGenericSuperclass();
            Collection<Object> elements = (Collection<Object>) make(kind);
            Class<?> element = (Class<?>) parent.getActualTypeArguments()[0];
            elements.addAll(two(element, name, type, version));
            return elements;
        }
        if (kind == List.class) {
            var parent = (ParameterizedType) field.getGenericType();
            return two(parent.getActualTypeArguments()[0], name, type, version);
        }
        return plain(kind, name, type, version);
    }

    private static List<Object> two(java.lang.reflect.Type element, String name, String type, short version)
            throws Exception {
        List<Object> elements = new ArrayList<>();
        for (int count = 0; count < 2; count++) {
            if (element instanceof ParameterizedType nested) {
                elements.add(two(nested.getActualTypeArguments()[0], name, type, version));
            } else {
                elements.add(plain((Class<?>) element, name, type, version));
            }
        }
        return elements;
    }

    private static Object plain(Class<?> kind, String name, String type, short version) throws Exception {
        byte[] text = name.getBytes(StandardCharsets.UTF_8);
        int hash = hash(text);
        if (kind == boolean.class || kind == Boolean.class) return true;
        if (kind == byte.class || kind == Byte.class) return (byte) (hash & 0x7f);
        if (kind == short.class || kind == Short.class) return (short) (hash & 0x7fff);
        // An unsigned 16-bit number is an int in Java.
        if (kind == int.class || kind == Integer.class) {
            return type.equals("UINT16") ? hash & 0xffff : hash & 0x7fffffff;
        }
        if (kind == long.class || kind == Long.class) return hash & 0xffffffffL;
        if (kind == double.class) return (double) (hash & 0x7fffffff);
        if (kind == String.class) return name;
        if (kind == Uuid.class) return new Uuid(hash & 0xffffffffL, hash & 0xffffffffL);
        if (kind == byte[].class) return text;
        if (kind == ByteBuffer.class) return ByteBuffer.wrap(text);
        if (kind.getSimpleName().equals("BaseRecords")) {
            return MemoryRecords.readableRecords(ByteBuffer.wrap(text));
        }
        Object struct = make(kind);
        fill(struct, version);
        return struct;
    }

    private static Object make(Class<?> kind) throws Exception {
        Constructor<?> constructor = kind.getDeclaredConstructor();
        constructor.setAccessible(true);
        return constructor.newInstance();
    }

    /** FNV-1a of 32 bits. */
    private static int hash(byte[] bytes) {
        int hash = 0x811c9dc5;
        for (byte one : bytes) {
            hash = (hash ^ (one & 0xff)) * 0x01000193;
        }
        return hash;
    }

    private static String camelCase(String name) {
        StringBuilder camel = new StringBuilder();
        for (String word : name.split("_")) {
            camel.append(camel.isEmpty() ? word : Character.toUpperCase(word.charAt(0)) + word.substring(1));
        }
        return camel.toString();
    }
}
