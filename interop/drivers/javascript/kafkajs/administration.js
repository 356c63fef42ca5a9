// Topics, configurations, groups and offsets through kafkajs' admin client.

import { library } from "../libraries.js";
import { eventually } from "../waiting.js";

const { AssignerProtocol, ConfigResourceTypes, ConfigSource } = library("kafkajs");

export function administration(kafka) {
  const admin = kafka.admin();
  let connecting = null;
  const connected = async () => {
    connecting ??= admin.connect();
    await connecting;
    return admin;
  };

  const actions = {
    async create_topic({ topic, partitions, config }) {
      const configEntries = Object.entries(config).map(([name, value]) => ({ name, value }));
      const wanted = { topic, numPartitions: partitions, replicationFactor: -1, configEntries };
      // kafkajs' own waiting gives up at a broker that has not heard of the topic yet.
      const request = { topics: [wanted], waitForLeaders: false };
      // `false` is how kafkajs reports a topic that exists.
      if (!(await (await connected()).createTopics(request))) {
        throw new Error(`topic ${topic} exists`);
      }
      await eventually(`${topic} is listed`, async () => (await topicNames(admin)).includes(topic));
    },

    async describe_topic({ topic }) {
      const { topics } = await (await connected()).fetchTopicMetadata({ topics: [topic] });
      const partitions = topics[0].partitions.map((partition) => ({
        index: partition.partitionId,
        leader: partition.leader,
        replicas: partition.replicas,
        in_sync: partition.isr,
      }));
      return { partitions: partitions.sort((one, other) => one.index - other.index) };
    },

    async list_topics() {
      return { topics: await topicNames(await connected()) };
    },

    async delete_topic({ topic }) {
      await (await connected()).deleteTopics({ topics: [topic] });
      await eventually(`${topic} is gone`, async () => !(await topicNames(admin)).includes(topic));
    },

    async describe_config({ topic }) {
      const entries = await topicConfig(await connected(), topic);
      const pairs = entries.map(({ configName, configValue }) => [configName, configValue]);
      return { config: Object.fromEntries(pairs) };
    },

    // kafkajs knows only the request that replaces all of a topic's settings, so the others go with it.
    async alter_config({ topic, set }) {
      const kept = (await topicConfig(await connected(), topic))
        .filter(({ configSource }) => configSource === ConfigSource.TOPIC_CONFIG)
        .map(({ configName, configValue }) => [configName, configValue]);
      const configEntries = Object.entries({ ...Object.fromEntries(kept), ...set })
        .map(([name, value]) => ({ name, value }));
      const resource = { type: ConfigResourceTypes.TOPIC, name: topic, configEntries };
      await admin.alterConfigs({ resources: [resource] });
    },

    async offset_for_time({ topic, partition, timestamp }) {
      const found = await (await connected()).fetchTopicOffsetsByTimestamp(topic, timestamp);
      const offset = offsetOf(found, partition);
      const { high } = await watermarks(admin, topic, partition);
      // Where no record is that young, kafkajs answers the end of the partition.
      return { offset: offset === high ? null : offset };
    },

    async watermarks({ topic, partition }) {
      return await watermarks(await connected(), topic, partition);
    },

    async list_groups() {
      const { groups } = await (await connected()).listGroups();
      return { groups: groups.map(({ groupId }) => groupId) };
    },

    async describe_group({ group }) {
      const { groups } = await (await connected()).describeGroups([group]);
      const [{ state, members }] = groups;
      return { state, members: members.map(described) };
    },

    async delete_group({ group }) {
      await (await connected()).deleteGroups([group]);
    },

    async delete_records({ topic, partition, before }) {
      await connected();
      const partitions = [{ partition, offset: String(before) }];
      // Without it kafkajs does not know the topic's leaders.
      await admin.fetchTopicOffsets(topic);
      await admin.deleteTopicRecords({ topic, partitions });
      return { low: (await watermarks(admin, topic, partition)).low };
    },

    async committed({ topic, partition, group }) {
      const asked = { groupId: group, topics: [topic] };
      const [{ partitions }] = await (await connected()).fetchOffsets(asked);
      const offset = offsetOf(partitions, partition);
      return { offset: offset < 0 ? null : offset };
    },
  };
  const quit = async () => {
    if (connecting !== null) {
      await admin.disconnect();
    }
  };
  return { actions, quit };
}

async function topicNames(admin) {
  // kafkajs does not say which topics are internal.
  return (await admin.listTopics()).filter((name) => !name.startsWith("__"));
}

async function topicConfig(admin, topic) {
  const resources = [{ type: ConfigResourceTypes.TOPIC, name: topic }];
  const answer = await admin.describeConfigs({ resources, includeSynonyms: false });
  return answer.resources[0].configEntries;
}

async function watermarks(admin, topic, partition) {
  const found = (await admin.fetchTopicOffsets(topic)).find((one) => one.partition === partition);
  return { low: Number(found.low), high: Number(found.high) };
}

function offsetOf(partitions, wanted) {
  return Number(partitions.find(({ partition }) => partition === wanted).offset);
}

function described({ memberId, memberAssignment }) {
  const assignment = AssignerProtocol.MemberAssignment.decode(memberAssignment)?.assignment ?? {};
  const partitions = Object.entries(assignment)
    .flatMap(([topic, numbers]) => numbers.map((partition) => [topic, partition]));
  return { id: memberId, partitions };
}
