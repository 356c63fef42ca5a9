package flumen.driver;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.time.Duration;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ExecutionException;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.ConsumerGroupDescription;
import org.apache.kafka.clients.admin.ListConsumerGroupOffsetsSpec;
import org.apache.kafka.clients.admin.MemberDescription;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.Node;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.TopicPartitionInfo;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.UnknownTopicOrPartitionException;

/** Topics, settings, groups and offsets, asked with Java's admin client. */
final class Administration implements AutoCloseable {
    private static final long CREATED_MS_MAX = 20_000;
    private static final long LOOK_EVERY_MS = 20;

    private final Admin admin;

    Administration(String bootstrap) {
        admin = Admin.create(Map.of("bootstrap.servers", bootstrap));
    }

    void register(Frame frame) {
        frame.on("create_topic", this::createTopic);
        frame.on("list_topics", this::listTopics);
        frame.on("describe_topic", this::describeTopic);
        frame.on("delete_topic", this::deleteTopic);
        frame.on("describe_config", this::describeConfig);
        frame.on("alter_config", this::alterConfig);
        frame.on("delete_records", this::deleteRecords);
        frame.on("watermarks", this::watermarks);
        frame.on("offset_for_time", this::offsetForTime);
        frame.on("committed", this::committed);
        frame.on("list_groups", this::listGroups);
        frame.on("describe_group", this::describeGroup);
        frame.on("delete_group", this::deleteGroup);
    }

    @Override
    public void close() {
        admin.close(Duration.ofSeconds(5));
    }

    private void createTopic(JsonNode request, ObjectNode ok) throws Exception {
        String topic = topic(request);
        NewTopic wanted = new NewTopic(topic, Optional.of(request.get("partitions").asInt()), Optional.empty());
        wanted.configs(Records.settings(request, "config"));
        admin.createTopics(List.of(wanted)).all().get();
        // A controller answers before the broker that is asked next has heard of the topic.
        long deadline = System.currentTimeMillis() + CREATED_MS_MAX;
        while (!hasLeaders(topic)) {
            if (System.currentTimeMillis() > deadline) {
                throw new IllegalStateException(topic + " was created and has no leaders");
            }
            Thread.sleep(LOOK_EVERY_MS);
        }
    }

    private boolean hasLeaders(String topic) throws Exception {
        try {
            return described(topic).partitions().stream()
                    .allMatch(partition -> partition.leader() != null);
        } catch (ExecutionException error) {
            if (error.getCause() instanceof UnknownTopicOrPartitionException) {
                return false;
            }
            throw error;
        }
    }

    private void listTopics(JsonNode request, ObjectNode ok) throws Exception {
        ArrayNode topics = ok.putArray("topics");
        admin.listTopics().names().get().forEach(topics::add);
    }

    private void describeTopic(JsonNode request, ObjectNode ok) throws Exception {
        ArrayNode partitions = ok.putArray("partitions");
        for (TopicPartitionInfo found : described(topic(request)).partitions()) {
            ObjectNode partition = partitions.addObject();
            partition.put("index", found.partition());
            partition.put("leader", found.leader() == null ? -1 : found.leader().id());
            writeIds(found.replicas(), partition.putArray("replicas"));
            writeIds(found.isr(), partition.putArray("in_sync"));
        }
    }

    private static void writeIds(Collection<Node> nodes, ArrayNode ids) {
        nodes.forEach(node -> ids.add(node.id()));
    }

    private TopicDescription described(String topic) throws Exception {
        return admin.describeTopics(List.of(topic)).allTopicNames().get().get(topic);
    }

    private void deleteTopic(JsonNode request, ObjectNode ok) throws Exception {
        admin.deleteTopics(List.of(topic(request))).all().get();
    }

    private void describeConfig(JsonNode request, ObjectNode ok) throws Exception {
        ConfigResource resource = resource(request);
        ObjectNode config = ok.putObject("config");
        for (ConfigEntry entry :
                admin.describeConfigs(List.of(resource)).all().get().get(resource).entries()) {
            config.put(entry.name(), entry.value());
        }
    }

    private void alterConfig(JsonNode request, ObjectNode ok) throws Exception {
        List<AlterConfigOp> changes =
                Records.settings(request, "set").entrySet().stream()
                        .map(set -> new ConfigEntry(set.getKey(), set.getValue()))
                        .map(entry -> new AlterConfigOp(entry, AlterConfigOp.OpType.SET))
                        .toList();
        admin.incrementalAlterConfigs(Map.of(resource(request), changes)).all().get();
    }

    private static ConfigResource resource(JsonNode request) {
        return new ConfigResource(ConfigResource.Type.TOPIC, topic(request));
    }

    private void deleteRecords(JsonNode request, ObjectNode ok) throws Exception {
        TopicPartition partition = Records.partition(request);
        RecordsToDelete before = RecordsToDelete.beforeOffset(request.get("before").asLong());
        ok.put(
                "low",
                admin.deleteRecords(Map.of(partition, before))
                        .lowWatermarks()
                        .get(partition)
                        .get()
                        .lowWatermark());
    }

    private void watermarks(JsonNode request, ObjectNode ok) throws Exception {
        TopicPartition partition = Records.partition(request);
        ok.put("low", offset(partition, OffsetSpec.earliest()));
        ok.put("high", offset(partition, OffsetSpec.latest()));
    }

    private void offsetForTime(JsonNode request, ObjectNode ok) throws Exception {
        OffsetSpec time = OffsetSpec.forTimestamp(request.get("timestamp").asLong());
        long found = offset(Records.partition(request), time);
        ok.put("offset", found < 0 ? null : (Long) found);
    }

    private long offset(TopicPartition partition, OffsetSpec which) throws Exception {
        return admin.listOffsets(Map.of(partition, which))
                .partitionResult(partition)
                .get()
                .offset();
    }

    private void committed(JsonNode request, ObjectNode ok) throws Exception {
        TopicPartition partition = Records.partition(request);
        String group = group(request);
        ListConsumerGroupOffsetsSpec wanted =
                new ListConsumerGroupOffsetsSpec().topicPartitions(List.of(partition));
        OffsetAndMetadata found =
                admin.listConsumerGroupOffsets(Map.of(group, wanted))
                        .partitionsToOffsetAndMetadata(group)
                        .get()
                        .get(partition);
        ok.put("offset", found == null ? null : (Long) found.offset());
    }

    private void listGroups(JsonNode request, ObjectNode ok) throws Exception {
        ArrayNode groups = ok.putArray("groups");
        admin.listGroups().all().get().forEach(group -> groups.add(group.groupId()));
    }

    private void describeGroup(JsonNode request, ObjectNode ok) throws Exception {
        String group = group(request);
        ConsumerGroupDescription found =
                admin.describeConsumerGroups(List.of(group)).all().get().get(group);
        ok.put("state", found.groupState().toString());
        ArrayNode members = ok.putArray("members");
        for (MemberDescription described : found.members()) {
            ObjectNode member = members.addObject();
            member.put("id", described.consumerId());
            Records.write(described.assignment().topicPartitions(), member.putArray("partitions"));
        }
    }

    private void deleteGroup(JsonNode request, ObjectNode ok) throws Exception {
        admin.deleteConsumerGroups(List.of(group(request))).all().get();
    }

    private static String topic(JsonNode request) {
        return request.get("topic").asText();
    }

    private static String group(JsonNode request) {
        return request.get("group").asText();
    }
}
