// @platformatic/kafka as a program: node platformatic.mjs COMMAND JSON. Used by NodeClientTests.
import { Admin, ConfigResourceTypes, Consumer, IncrementalAlterConfigOperationTypes, MessagesStreamModes, Producer } from '@platformatic/kafka'
import { count, ended, message, say, text } from './messages.mjs'

const args = JSON.parse(process.argv[3])
const base = { clientId: 'platformatic', bootstrapBrokers: [args.bootstrap], retries: 20, retryDelay: 200, metadataMaxAge: 2000 }

function record({ partition, offset, key, value, headers, timestamp }) {
  return {
    event: 'record', partition, offset: Number(offset), key: text(key), value: text(value),
    headers: [...headers].map(([name, value]) => [text(name), text(value)]), timestamp: Number(timestamp)
  }
}

async function subscribe({ topic, group, instance, protocol }, autocommit) {
  const consumer = new Consumer({
    ...base, groupId: group, groupInstanceId: instance, groupProtocol: protocol ?? 'classic', sessionTimeout: args.sessionTimeout ?? 10000,
    rebalanceTimeout: 10000, heartbeatInterval: 300
  })
  consumer.on('consumer:group:join', ({ memberId, assignments }) => say({
    event: 'joined', member: memberId, partitions: (assignments ?? []).filter(on => on.topic === topic).flatMap(on => on.partitions)
  }))
  const stream = await consumer.consume({
    topics: [topic], mode: MessagesStreamModes.COMMITTED, fallbackMode: 'earliest', autocommit, maxWaitTime: 200
  })
  return { consumer, stream }
}

async function countOf(topic) {
  const consumer = new Consumer({ ...base, groupId: 'count' })
  const ends = (await consumer.listOffsets({ topics: [topic] })).get(topic)
  await consumer.close(true)
  return Number(ends.reduce((sum, end) => sum + end))
}

const commands = {
  async produce({ topic, codec, acks }) {
    const producer = new Producer({ ...base, autocreateTopics: true, compression: codec })
    for (let from = 0; from < count; from += 50) {
      const messages = Array.from({ length: 50 }, (_, i) => {
        const { key, value, headers, timestamp } = message(from + i)
        return {
          topic, key: key === null ? undefined : Buffer.from(key), value: value === null ? undefined : Buffer.from(value),
          headers: new Map(Object.entries(headers).map(([name, value]) => [Buffer.from(name), Buffer.from(value)])), timestamp: BigInt(timestamp)
        }
      })
      await producer.send({ messages, acks })
    }
    while (acks === 0 && await countOf(topic) < count) {
      // closing would drop what is not sent yet, and nobody says what is
    }
    await producer.close()
  },

  async consume(args) {
    let left = args.count
    const { consumer, stream } = await subscribe(args, false) // what commits by itself commits what was not processed
    for await (const message of stream) {
      say(record(message))
      if (args.commits ?? true) {
        await message.commit()
      }
      if (--left === 0) {
        break
      }
    }
    await consumer.close(true)
  },

  /** A member until it is asked to end; then it leaves. */
  async member(args) {
    const { consumer, stream } = await subscribe(args, false)
    ended.then(() => consumer.close(true)).then(() => process.exit(0))
    for await (const message of stream) {
      say(record(message))
      try {
        await message.commit()
        say({ event: 'committed', partition: message.partition, offset: Number(message.offset) + 1 })
      } catch (error) {
        say({ event: 'refused', error: `${error}` }) // its generation may be over
      }
    }
  },

  /** Reads partition 0 from an offset on, then partition 1 from its start. */
  async seek({ topic, group, offset, last }) {
    const seen = []
    const consumer = new Consumer({ ...base, groupId: group, sessionTimeout: 10000, rebalanceTimeout: 10000, heartbeatInterval: 300 })
    const stream = await consumer.consume({
      topics: [topic], mode: MessagesStreamModes.MANUAL, maxWaitTime: 200,
      offsets: [{ topic, partition: 0, offset: BigInt(offset) }, { topic, partition: 1, offset: 0n }]
    })
    const left = new Set([0, 1])
    for await (const message of stream) {
      seen.push([message.partition, Number(message.offset)])
      if (Number(message.offset) === last) {
        left.delete(message.partition)
      }
      if (left.size === 0) {
        break
      }
    }
    await consumer.close(true)
    say({ event: 'seen', seen })
  },

  /** Where a time is. */
  async times({ topic, timestamp }) {
    const consumer = new Consumer({ ...base, groupId: 'times' })
    const at = async time => (await consumer.listOffsets({ topics: [topic], timestamp: BigInt(time) })).get(topic).map(Number)
    const [found, low, high] = [await at(timestamp), await at(-2), await at(-1)]
    await consumer.close(true)
    say({ event: 'times', found: found.map((offset, i) => [i, offset]), ends: low.map((offset, i) => [i, offset, high[i]]) })
  },

  /** Commits, aborts, passes on with its offsets what it has read, and is fenced by another one of its name. */
  async transactions({ topic, out, group }) {
    const options = { ...base, transactionalId: topic, idempotent: true, acks: -1 }
    const producer = new Producer(options)
    const value = (topic, partition, value) => ({ topic, partition, value: Buffer.from(value) })
    for (const name of ['kept', 'dropped']) {
      const transaction = await producer.beginTransaction()
      await transaction.send({ messages: Array.from({ length: 30 }, (_, i) => value(topic, i % 3, `${name} ${i}`)) })
      await (name === 'kept' ? transaction.commit() : transaction.abort())
    }
    const seen = []
    const consumer = new Consumer({
      ...base, groupId: group, isolationLevel: 1, sessionTimeout: 10000, rebalanceTimeout: 10000, heartbeatInterval: 300
    })
    const stream = await consumer.consume({
      topics: [topic], mode: MessagesStreamModes.COMMITTED, fallbackMode: 'earliest', autocommit: false, maxWaitTime: 200, isolationLevel: 1
    })
    for await (const message of stream) {
      const transaction = await producer.beginTransaction()
      await transaction.addConsumer(consumer)
      await transaction.send({ messages: [value(out, message.partition, `passed ${text(message.value)}`)] })
      await transaction.addOffset(message)
      await transaction.commit()
      seen.push(text(message.value))
      if (seen.length === 30) {
        break
      }
    }
    await consumer.close(true)
    const open = await producer.beginTransaction()
    await open.send({ messages: [value(out, 0, 'of a zombie')] })
    const successor = new Producer(options)
    // it says that it has had producer 0 unless it is told to say nothing
    await successor.beginTransaction({ producerId: -1n, producerEpoch: -1 })
    const fenced = await open.commit().then(() => false, () => true)
    await successor.close()
    say({ event: 'transactions', fenced, seen })
  },

  /** What operators do; whatever fails throws. */
  async admin({ topic, group }) {
    const admin = new Admin(base)
    const created = await admin.createTopics({ topics: [topic], partitions: 2, replicas: 1, configs: [{ name: 'retention.ms', value: '3600000' }] })
    let again = true
    try {
      await admin.createTopics({ topics: [topic], partitions: 2, replicas: 1 })
    } catch {
      again = false
    }
    await admin.createPartitions({ topics: [{ name: topic, count: 5, assignments: null }] })
    await admin.incrementalAlterConfigs({
      resources: [{
        resourceType: ConfigResourceTypes.TOPIC, resourceName: topic,
        configs: [{ name: 'max.message.bytes', configOperation: IncrementalAlterConfigOperationTypes.SET, value: '123456' }]
      }]
    })
    const configs = await admin.describeConfigs({
      resources: [{ resourceType: ConfigResourceTypes.TOPIC, resourceName: topic, configurationKeys: ['max.message.bytes', 'retention.ms'] }]
    })
    const metadata = await admin.metadata({ topics: [topic], forceUpdate: true })
    const broker = { resourceType: ConfigResourceTypes.BROKER, resourceName: `${[...metadata.brokers.keys()][0]}` }
    const threads = (configOperation, value) => admin.incrementalAlterConfigs({
      resources: [{ ...broker, configs: [{ name: 'log.cleaner.threads', configOperation, value }] }]
    })
    await threads(IncrementalAlterConfigOperationTypes.SET, '2')
    const ofBroker = await admin.describeConfigs({ resources: [{ ...broker, configurationKeys: ['log.cleaner.threads'] }] })
    await threads(IncrementalAlterConfigOperationTypes.DELETE, null)
    await admin.alterConsumerGroupOffsets({
      groupId: group, topics: [{ name: topic, partitionOffsets: [{ partition: 0, offset: 7n }, { partition: 4, offset: 9n }] }]
    })
    const committed = await admin.listConsumerGroupOffsets({ groups: [group] })
    const groups = await admin.listGroups()
    const described = await admin.describeGroups({ groups: [group] })
    await admin.deleteGroups({ groups: [group] })
    const producer = new Producer(base)
    await producer.send({ acks: -1, messages: Array.from({ length: 10 }, (_, i) => ({ topic, partition: 0, value: Buffer.from(`${i}`) })) })
    await producer.close()
    await admin.deleteRecords({ topics: [{ name: topic, partitions: [{ partition: 0, offset: 4n }] }] })
    const offsets = await admin.listOffsets({ topics: [{ name: topic, partitions: [{ partitionIndex: 0, timestamp: -2n }] }] })
    await admin.deleteTopics({ topics: [topic] })
    const topics = await admin.listTopics()
    await admin.close()
    say({
      event: 'admin', created: created.length === 1, again,
      partitions: metadata.topics.get(topic).partitions.length,
      configs: Object.fromEntries(configs[0].configs.map(entry => [entry.name, entry.value])),
      ofBroker: ofBroker[0].configs.map(entry => [entry.name, entry.value, entry.configSource, entry.readOnly]),
      committed: Object.fromEntries(committed[0].topics[0].partitions.map(at => [at.partitionIndex, Number(at.committedOffset)])),
      group: groups.has(group),
      state: described.get(group).state,
      brokers: metadata.brokers.size,
      low: Number(offsets[0].partitions[0].offset),
      gone: !topics.includes(topic)
    })
  }
}

await commands[process.argv[2]](args)
await new Promise(resolve => process.stdout.write('', resolve)) // what was said may not have gone out yet
process.exit(0)
