// kafkajs as a program: node kafkajs.mjs COMMAND JSON. Used by NodeClientTests.
import zlib from 'node:zlib'
import kafkajs from 'kafkajs'
import { lz4Compress, lz4Decompress, snappyCompress, snappyDecompress } from '@platformatic/wasm-utils'
import { count, ended, message, say, text } from './messages.mjs'

const { CompressionCodecs, CompressionTypes, ConfigResourceTypes, Kafka, PartitionAssigners, logLevel } = kafkajs
const codec = (compress, decompress) => () => ({
  compress: async encoder => compress(encoder.buffer),
  decompress: async bytes => decompress(bytes)
})
CompressionCodecs[CompressionTypes.Snappy] = codec(snappyCompress, snappyDecompress)
CompressionCodecs[CompressionTypes.LZ4] = codec(lz4Compress, lz4Decompress)
CompressionCodecs[CompressionTypes.ZSTD] = codec(zlib.zstdCompressSync, zlib.zstdDecompressSync)
const codecs = { none: 0, gzip: 1, snappy: 2, lz4: 3, zstd: 4 }

const args = JSON.parse(process.argv[3])
const kafka = new Kafka({ brokers: [args.bootstrap], clientId: 'kafkajs', logLevel: logLevel.ERROR, retry: { retries: 20, maxRetryTime: 1000 } })

/** Its assignor under the name that other clients know, so that they can share a group. */
const roundrobin = context => ({ ...PartitionAssigners.roundRobin(context), name: 'roundrobin' })

/** Consumes until `take` says that it is enough. */
async function consume({ topic, group, fromBeginning = true, instance }, take, options = {}) {
  const consumer = kafka.consumer({
    groupId: group, sessionTimeout: args.sessionTimeout ?? 10000, heartbeatInterval: 300, rebalanceTimeout: 10000,
    maxWaitTimeInMs: 200, metadataMaxAge: 2000, groupInstanceId: instance, partitionAssigners: [roundrobin], ...options
  })
  consumer.on(consumer.events.GROUP_JOIN, ({ payload }) =>
    say({ event: 'joined', member: payload.memberId, partitions: payload.memberAssignment[topic] ?? [] }))
  await consumer.connect()
  await consumer.subscribe({ topics: [topic], fromBeginning })
  let enough
  const done = new Promise(resolve => { enough = resolve })
  await consumer.run({
    autoCommitInterval: 200,
    eachMessage: async ({ partition, message }) => {
      if (take(consumer, partition, message)) {
        enough()
      }
    }
  })
  return { consumer, done, enough }
}

function record(partition, { offset, key, value, headers, timestamp }) {
  return {
    event: 'record', partition, offset: Number(offset), key: text(key), value: text(value),
    headers: Object.entries(headers ?? {}).map(([name, value]) => [name, text(value)]), timestamp: Number(timestamp)
  }
}

const commands = {
  async produce({ topic, codec, acks }) {
    const producer = kafka.producer({ allowAutoTopicCreation: true })
    await producer.connect()
    for (let from = 0; from < count; from += 50) {
      const messages = Array.from({ length: 50 }, (_, i) => {
        const { timestamp, ...rest } = message(from + i)
        return { ...rest, timestamp: `${timestamp}` }
      })
      await producer.send({ topic, acks, compression: codecs[codec], messages })
    }
    await producer.disconnect()
  },

  async consume(args) {
    let left = args.count
    const { consumer, done } = await consume(args, (_, partition, message) => {
      say(record(partition, message))
      return --left === 0
    })
    await done
    await consumer.disconnect() // commits what was processed, and leaves
  },

  /** A member until it is asked to end; then it leaves. */
  async member(args) {
    const { consumer } = await consume(args, (_, partition, message) => {
      say(record(partition, message))
      return false
    })
    await ended
    await consumer.disconnect()
  },

  /** Goes back to an offset of partition 0, and pauses partition 1 for as long as it takes to read partition 0 again. */
  async seek(args) {
    const seen = []
    let resumed = false
    const { consumer, done } = await consume(args, (consumer, partition, message) => {
      seen.push([partition, Number(message.offset)])
      if (partition === 0 && Number(message.offset) === args.last && !resumed) {
        resumed = true
        consumer.resume([{ topic: args.topic, partitions: [1] }])
      }
      return resumed && partition === 1 && Number(message.offset) === args.last
    })
    consumer.pause([{ topic: args.topic, partitions: [1] }])
    consumer.seek({ topic: args.topic, partition: 0, offset: `${args.offset}` })
    await done
    await consumer.disconnect()
    say({ event: 'seen', seen })
  },

  /** Where a time is. */
  async times({ topic, timestamp }) {
    const admin = kafka.admin()
    await admin.connect()
    const found = await admin.fetchTopicOffsetsByTimestamp(topic, timestamp)
    const ends = await admin.fetchTopicOffsets(topic)
    await admin.disconnect()
    say({ event: 'times', found: found.map(at => [at.partition, Number(at.offset)]), ends: ends.map(at => [at.partition, Number(at.low), Number(at.high)]) })
  },

  /** Commits, aborts, passes on with its offsets what it has read, and is fenced by another one of its name. */
  async transactions({ topic, out, group }) {
    const options = { transactionalId: topic, maxInFlightRequests: 1, idempotent: true }
    const producer = kafka.producer(options)
    await producer.connect()
    for (const name of ['kept', 'dropped']) {
      const transaction = await producer.transaction()
      await transaction.send({ topic, messages: Array.from({ length: 30 }, (_, i) => ({ partition: i % 3, value: `${name} ${i}` })) })
      await (name === 'kept' ? transaction.commit() : transaction.abort())
    }
    const seen = []
    const consumer = kafka.consumer({ groupId: group, maxWaitTimeInMs: 200, readUncommitted: false })
    await consumer.connect()
    await consumer.subscribe({ topics: [topic], fromBeginning: true })
    await new Promise((resolve, reject) => consumer.run({
      autoCommit: false,
      eachBatch: async ({ batch, resolveOffset }) => {
        if (batch.messages.length === 0) {
          return
        }
        try {
          const transaction = await producer.transaction()
          await transaction.send({ topic: out, messages: batch.messages.map(message => ({ partition: batch.partition, value: `passed ${text(message.value)}` })) })
          await transaction.sendOffsets({
            consumerGroupId: group, topics: [{ topic, partitions: [{ partition: batch.partition, offset: `${BigInt(batch.lastOffset()) + 1n}` }] }]
          })
          await transaction.commit()
          seen.push(...batch.messages.map(message => text(message.value)))
          resolveOffset(batch.lastOffset())
        } catch (error) {
          reject(error)
        }
        if (seen.length === 30) {
          resolve()
        }
      }
    }).catch(reject))
    await consumer.disconnect()
    const open = await producer.transaction()
    await open.send({ topic: out, messages: [{ partition: 0, value: 'of a zombie' }] })
    const successor = kafka.producer(options)
    await successor.connect()
    await (await successor.transaction()).abort()
    const fenced = await open.commit().then(() => false, () => true)
    await successor.disconnect()
    say({ event: 'transactions', fenced, seen })
  },

  /** What operators do; whatever fails throws. */
  async admin({ topic, group }) {
    const admin = kafka.admin()
    await admin.connect()
    const created = await admin.createTopics({
      topics: [{ topic, numPartitions: 2, replicationFactor: 1, configEntries: [{ name: 'retention.ms', value: '3600000' }] }]
    })
    const again = await admin.createTopics({ topics: [{ topic, numPartitions: 2 }] })
    await admin.createPartitions({ topicPartitions: [{ topic, count: 5 }] })
    await admin.alterConfigs({
      validateOnly: false,
      resources: [{ type: ConfigResourceTypes.TOPIC, name: topic, configEntries: [{ name: 'max.message.bytes', value: '123456' }] }]
    })
    const configs = await admin.describeConfigs({
      includeSynonyms: false, resources: [{ type: ConfigResourceTypes.TOPIC, name: topic, configNames: ['max.message.bytes', 'retention.ms'] }]
    })
    const cluster = await admin.describeCluster()
    const broker = { type: ConfigResourceTypes.BROKER, name: `${cluster.brokers[0].nodeId}` }
    await admin.alterConfigs({ validateOnly: false, resources: [{ ...broker, configEntries: [{ name: 'log.cleaner.threads', value: '2' }] }] })
    const ofBroker = await admin.describeConfigs({ includeSynonyms: false, resources: [{ ...broker, configNames: ['log.cleaner.threads'] }] })
    await admin.alterConfigs({ validateOnly: false, resources: [{ ...broker, configEntries: [] }] })
    const metadata = await admin.fetchTopicMetadata({ topics: [topic] })
    await admin.setOffsets({ groupId: group, topic, partitions: [{ partition: 0, offset: '7' }, { partition: 4, offset: '9' }] })
    const committed = await admin.fetchOffsets({ groupId: group, topics: [topic] })
    const groups = await admin.listGroups()
    const described = await admin.describeGroups([group])
    await admin.deleteGroups([group])
    const producer = kafka.producer()
    await producer.connect()
    await producer.send({ topic, messages: Array.from({ length: 10 }, (_, i) => ({ partition: 0, value: `${i}` })) })
    await producer.disconnect()
    await admin.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset: '4' }] })
    const offsets = await admin.fetchTopicOffsets(topic)
    await admin.deleteTopics({ topics: [topic] })
    const topics = await admin.listTopics()
    await admin.disconnect()
    say({
      event: 'admin', created, again,
      partitions: metadata.topics[0].partitions.length,
      configs: Object.fromEntries(configs.resources[0].configEntries.map(entry => [entry.configName, entry.configValue])),
      ofBroker: ofBroker.resources[0].configEntries.map(entry => [entry.configName, entry.configValue, entry.configSource, entry.readOnly]),
      committed: Object.fromEntries(committed[0].partitions.map(at => [at.partition, Number(at.offset)])),
      group: groups.groups.some(known => known.groupId === group),
      state: described.groups[0].state,
      brokers: cluster.brokers.length,
      low: Number(offsets.find(at => at.partition === 0).low),
      gone: !topics.includes(topic)
    })
  }
}

await commands[process.argv[2]](args)
await new Promise(resolve => process.stdout.write('', resolve)) // what was said may not have gone out yet
process.exit(0)
