// Topics, configurations, groups and offsets through @platformatic/kafka's admin client.

import { library } from "../libraries.js";
import { eventually } from "../waiting.js";

const { Admin, ConfigResourceTypes, IncrementalAlterConfigOperationTypes, ListOffsetTimestamps } =
  library("@platformatic/kafka");

export function administration(options) {
  const admin = new Admin(options);
  const offsetAt = async (topic, partition, timestamp) => {
    const partitions = [{ partitionIndex: partition, timestamp }];
    const [found] = await admin.listOffsets({ topics: [{ name: topic, partitions }] });
    return Number(found.partitions[0].offset);
  };

  const actions = {
    async create_topic({ topic, partitions, config }) {
      const configs = Object.entries(config).map(([name, value]) => ({ name, value }));
      await admin.createTopics({ topics: [topic], partitions, replicas: 1, configs });
      await eventually(`${topic} is listed`, async () => (await admin.listTopics()).includes(topic));
    },

    async describe_topic({ topic }) {
      const { topics } = await admin.metadata({ topics: [topic], forceUpdate: true });
      const partitions = topics.get(topic).partitions.map(({ leader, replicas, isr }, index) => ({
        index,
        leader,
        replicas,
        in_sync: isr,
      }));
      return { partitions };
    },

    async list_topics() {
      return { topics: await admin.listTopics() };
    },

    async delete_topic({ topic }) {
      await admin.deleteTopics({ topics: [topic] });
      await eventually(`${topic} is gone`, async () => !(await admin.listTopics()).includes(topic));
    },

    async describe_config({ topic }) {
      const resource = { resourceType: ConfigResourceTypes.TOPIC, resourceName: topic };
      const [{ configs }] = await admin.describeConfigs({ resources: [resource] });
      return { config: Object.fromEntries(configs.map(({ name, value }) => [name, value])) };
    },

    async alter_config({ topic, set }) {
      const configs = Object.entries(set).map(([name, value]) => ({
        name,
        value,
        configOperation: IncrementalAlterConfigOperationTypes.SET,
      }));
      const resource = { resourceType: ConfigResourceTypes.TOPIC, resourceName: topic, configs };
      await admin.incrementalAlterConfigs({ resources: [resource] });
    },

    async offset_for_time({ topic, partition, timestamp }) {
      const offset = await offsetAt(topic, partition, BigInt(timestamp));
      return { offset: offset < 0 ? null : offset };
    },

    async watermarks({ topic, partition }) {
      return {
        low: await offsetAt(topic, partition, ListOffsetTimestamps.EARLIEST),
        high: await offsetAt(topic, partition, ListOffsetTimestamps.LATEST),
      };
    },

    async list_groups() {
      return { groups: [...(await admin.listGroups()).keys()] };
    },

    async describe_group({ group }) {
      const { state, members } = (await admin.describeGroups({ groups: [group] })).get(group);
      return { state, members: [...members.values()].map(described) };
    },

    async delete_group({ group }) {
      await admin.deleteGroups({ groups: [group] });
    },

    async delete_records({ topic, partition, before }) {
      const partitions = [{ partition, offset: BigInt(before) }];
      const [deleted] = await admin.deleteRecords({ topics: [{ name: topic, partitions }] });
      return { low: Number(deleted.partitions[0].lowWatermark) };
    },

    async committed({ topic, partition, group }) {
      const topics = [{ name: topic, partitionIndexes: [partition] }];
      const groups = [{ groupId: group, topics }];
      const [found] = await admin.listConsumerGroupOffsets({ groups });
      const offset = Number(found.topics[0].partitions[0].committedOffset);
      return { offset: offset < 0 ? null : offset };
    },
  };
  return { actions, quit: () => admin.close() };
}

function described({ id, assignments }) {
  const partitions = [...(assignments ?? new Map()).values()]
    .flatMap(({ topic, partitions: numbers }) => numbers.map((partition) => [topic, partition]));
  return { id, partitions };
}
