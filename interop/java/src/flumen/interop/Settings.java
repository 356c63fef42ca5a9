package flumen.interop;

import java.util.Properties;

/** Client properties given as {@code name=value} arguments. */
final class Settings {
    private Settings() {}

    static Properties parse(String[] arguments, int from) {
        Properties properties = new Properties();
        for (int i = from; i < arguments.length; i++) {
            int equals = arguments[i].indexOf('=');
            properties.put(arguments[i].substring(0, equals), arguments[i].substring(equals + 1));
        }
        return properties;
    }
}
