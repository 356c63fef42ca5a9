package flumen.driver;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.ExecutionException;

/**
 * The lines of the drivers' protocol (../README.md): reads a request, finds its action, writes the
 * answer. Knows nothing of Kafka.
 */
public final class Frame {
    static final ObjectMapper JSON = new ObjectMapper();

    /** Does what a request asks and fills in what its answer has under {@code ok}. */
    public interface Action {
        void run(JsonNode request, ObjectNode ok) throws Exception;
    }

    private final Map<String, Action> actions = new TreeMap<>();

    public void on(String name, Action action) {
        actions.put(name, action);
    }

    /** Answers requests until standard input ends. */
    public void serve() throws IOException {
        PrintStream answers = new PrintStream(System.out, false, StandardCharsets.UTF_8);
        // A library may print; the answers' pipe is not its own.
        System.setOut(System.err);
        BufferedReader requests =
                new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line; (line = requests.readLine()) != null; ) {
            answers.println(JSON.writeValueAsString(answer(JSON.readTree(line))));
            answers.flush();
        }
    }

    private ObjectNode answer(JsonNode request) {
        ObjectNode answer = JSON.createObjectNode();
        String name = request.get("do").asText();
        Action action = actions.get(name);
        if (action == null) {
            return answer.put("error", "no such request: " + name);
        }
        try {
            action.run(request, answer.putObject("ok"));
            return answer;
        } catch (Exception error) {
            error.printStackTrace();
            return JSON.createObjectNode().put("error", described(error));
        }
    }

    /** An error with its causes: the outermost often says no more than that something failed. */
    private static String described(Throwable error) {
        if (error instanceof ExecutionException && error.getCause() != null) {
            return described(error.getCause());
        }
        String said = error.getClass().getSimpleName() + ": " + error.getMessage();
        return error.getCause() == null ? said : said + " < " + described(error.getCause());
    }
}
