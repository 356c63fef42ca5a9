import org.apache.kafka.common.errors.RetriableException;
import org.apache.kafka.common.message.ApiMessageType;
import org.apache.kafka.common.protocol.Errors;

/**
 * Writes protocol/tests/golden/tables.txt: Apache Kafka's error codes and the APIs of its brokers, with Envelope,
 * which Kafka's brokers send to its controllers and Flumen's brokers to each other.
 *
 * To run it, with kafka-clients 4.4.0 and what it depends on in a folder:
 *
 *   java -cp 'LIBS/*' interop/java/golden/GoldenTables.java > protocol/tests/golden/tables.txt
 */
public final class GoldenTables {
    public static void main(String[] arguments) {
        System.out.println("# Written by interop/java/golden/GoldenTables.java, Apache Kafka 4.4.0.");
        System.out.println("# error code name retriable");
        for (Errors error : Errors.values()) {
            boolean retriable = error.exception() instanceof RetriableException;
            System.out.println("error " + error.code() + " " + error + " " + retriable);
        }
        System.out.println("# api key name first last last-stable");
        for (ApiMessageType api : ApiMessageType.values()) {
            boolean ofBrokers = api.listeners().contains(ApiMessageType.ListenerType.BROKER);
            if (ofBrokers || api == ApiMessageType.ENVELOPE) {
                System.out.println("api " + api.apiKey() + " " + api.name + " " + api.lowestSupportedVersion()
                    + " " + api.highestSupportedVersion(true) + " " + api.highestSupportedVersion(false));
            }
        }
    }
}
