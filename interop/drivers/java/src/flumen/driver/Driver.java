package flumen.driver;

/**
 * The driver of Apache Kafka's own Java clients. Beyond the protocol of all drivers (../README.md)
 * it takes {@code settings} with {@code open} and {@code produce}, the library's own properties,
 * and has requests for what only Java's clients do.
 */
public final class Driver {
    private Driver() {}

    public static void main(String[] arguments) throws Exception {
        String bootstrap = arguments[arguments.length - 1];
        Frame frame = new Frame();
        try (Administration administration = new Administration(bootstrap);
                Producing producing = new Producing(bootstrap);
                Consuming consuming = new Consuming(bootstrap)) {
            administration.register(frame);
            producing.register(frame);
            consuming.register(frame);
            new Sharing(bootstrap).register(frame);
            frame.serve();
        }
    }
}
