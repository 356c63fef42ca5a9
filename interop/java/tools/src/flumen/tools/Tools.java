package flumen.tools;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import flumen.driver.Frame;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.InputStream;
import java.io.PrintStream;
import java.lang.reflect.InvocationTargetException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import org.apache.kafka.common.utils.Exit;

/**
 * Runs Apache Kafka's command-line tools one after the other in this process: a virtual machine
 * for each would take longer to start than the tool to work. Speaks the drivers' protocol
 * (drivers/README.md) with one request, {@code tool}: {@code class}, {@code words}, {@code input};
 * its answer has the exit {@code code} and what the tool {@code said}, on either stream.
 */
public final class Tools {
    /** What a tool has registered to be done at the end of its process. */
    private static final List<Runnable> HOOKS = new ArrayList<>();

    /** What the running tool has said so far. */
    private static volatile ByteArrayOutputStream said = new ByteArrayOutputStream();

    /** How the running tool ended; null while it works. */
    private static volatile Ending ending;

    private record Ending(int code, String said) {}

    private Tools() {}

    /** Takes a tool that would have ended the process back to where it was started. */
    private static final class Ended extends RuntimeException {
        private static final long serialVersionUID = 1L;
    }

    public static void main(String[] arguments) throws Exception {
        Exit.setExitProcedure((code, message) -> exit(code));
        Exit.setHaltProcedure(
                (code, message) -> {
                    HOOKS.clear();
                    exit(code);
                });
        Exit.setShutdownHookAdder((name, hook) -> HOOKS.add(hook));
        Frame frame = new Frame();
        frame.on("tool", Tools::tool);
        frame.serve();
        // A tool may have left a thread behind.
        Runtime.getRuntime().halt(0);
    }

    /** Many a tool catches what this throws and exits again: only the first time counts. */
    private static void exit(int code) {
        end(code);
        throw new Ended();
    }

    private static void end(int code) {
        if (ending != null) {
            return;
        }
        List<Runnable> hooks = List.copyOf(HOOKS);
        HOOKS.clear();
        hooks.forEach(Runnable::run);
        ending = new Ending(code, said.toString(StandardCharsets.UTF_8));
    }

    private static void tool(JsonNode request, ObjectNode ok) throws Exception {
        List<String> words = new ArrayList<>();
        request.get("words").forEach(word -> words.add(word.asText()));
        byte[] input = request.get("input").asText().getBytes(StandardCharsets.UTF_8);
        said = new ByteArrayOutputStream();
        ending = null;
        PrintStream output = new PrintStream(said, true, StandardCharsets.UTF_8);
        PrintStream outputBefore = System.out;
        PrintStream errorsBefore = System.err;
        InputStream inputBefore = System.in;
        System.setOut(output);
        System.setErr(output);
        System.setIn(new ByteArrayInputStream(input));
        try {
            run(request.get("class").asText(), words);
        } finally {
            HOOKS.clear();
            System.setOut(outputBefore);
            System.setErr(errorsBefore);
            System.setIn(inputBefore);
        }
        ok.put("code", ending.code());
        ok.put("said", ending.said());
    }

    private static void run(String className, List<String> words) throws Exception {
        try {
            Class.forName(className)
                    .getMethod("main", String[].class)
                    .invoke(null, (Object) words.toArray(new String[0]));
            end(0);
        } catch (InvocationTargetException failed) {
            if (ending == null) {
                // As the virtual machine does with what nobody caught.
                failed.getCause().printStackTrace();
                end(1);
            }
        }
    }
}
