// What mqtt.js gets of each feature of MQTT: node mqttjs_features.mjs URL VERSION. Used by MqttFeatureTests. Says one line for each feature,
// its name and what came of it; nothing is judged here.
import { once } from 'node:events'
import mqtt from 'mqtt'
import { say } from './messages.mjs'

const [url, versionText] = process.argv.slice(2)
const protocolVersion = Number(versionText)
const is5 = protocolVersion === 5

// A client that keeps its messages until they are asked for.
class Client {
  constructor (clientId, options = {}) {
    const properties = is5 ? options.properties : undefined
    this.client = mqtt.connect(url, { protocolVersion, clientId, reconnectPeriod: 0, connectTimeout: 60000, ...options, properties })
    this.waiting = []
    this.messages = []
    this.aliases = []
    this.client.on('packetreceive', packet => packet.cmd === 'publish' && this.aliases.push(packet.properties?.topicAlias ?? 0))
    this.client.on('message', (topic, payload, packet) => {
      const message = { topic, text: payload.toString(), qos: packet.qos, retain: packet.retain, properties: packet.properties }
      const waiter = this.waiting.shift()
      waiter ? waiter(message) : this.messages.push(message)
    })
  }

  static async connect (clientId, options) {
    const client = new Client(clientId, options)
    const [answer] = await once(client.client, 'connect')
    client.present = answer.sessionPresent
    return client
  }

  async message () {
    return this.messages.shift() ?? await new Promise(resolve => this.waiting.push(resolve))
  }

  async take (count) {
    const got = []
    for (let i = 0; i < count; i++) {
      got.push(await this.message())
    }
    return got
  }

  end () {
    return this.client.endAsync()
  }
}

const expiry = { sessionExpiryInterval: 60 }

const features = {
  async each_qos_both_ways () {
    const [subscriber, publisher] = [await Client.connect('q-sub'), await Client.connect('q-pub')]
    const granted = []
    for (const qos of [0, 1, 2]) {
      granted.push((await subscriber.client.subscribeAsync(`q/${qos}`, { qos }))[0].qos)
      await publisher.client.publishAsync(`q/${qos}`, `at ${qos}`, { qos })
    }
    const got = (await subscriber.take(3)).map(m => [m.topic, m.qos, m.text]).sort()
    await Promise.all([subscriber.end(), publisher.end()])
    return [granted, got]
  },

  async session_with_what_was_missed () {
    await (await Client.connect('kept')).end()
    const first = await Client.connect('kept', { clean: false, properties: expiry })
    await first.client.subscribeAsync('kept/#', { qos: 2 })
    await first.end()
    const publisher = await Client.connect('kept-pub')
    for (const qos of [1, 2, 1]) {
      await publisher.client.publishAsync('kept/t', `missed at ${qos}`, { qos })
    }
    await publisher.end()
    const second = await Client.connect('kept', { clean: false, properties: expiry })
    const got = (await second.take(3)).map(m => m.text).sort()
    await second.end()
    await (await Client.connect('kept')).end()
    return [first.present, second.present, got]
  },

  async retained_value () {
    const [publisher, subscriber] = [await Client.connect('r-pub'), await Client.connect('r-sub')]
    await publisher.client.publishAsync('r/a', 'old', { qos: 1, retain: true })
    await publisher.client.publishAsync('r/a', 'new', { qos: 2, retain: true })
    await subscriber.client.subscribeAsync('r/#', { qos: 1 })
    await publisher.client.publishAsync('r/a', 'live', { qos: 1, retain: true })
    const got = (await subscriber.take(2)).map(m => [m.text, m.retain])
    await publisher.client.publishAsync('r/a', '', { qos: 1, retain: true })
    await Promise.all([subscriber.end(), publisher.end()])
    return got
  },

  async will_when_a_client_vanishes () {
    const subscriber = await Client.connect('w-sub')
    await subscriber.client.subscribeAsync('w/#', { qos: 1 })
    const bad = await Client.connect('w-bad', { will: { topic: 'w/bad', payload: 'said', qos: 1 } })
    bad.client.stream.destroy()
    const { topic, text } = await subscriber.message()
    await subscriber.end()
    return [topic, text]
  },

  async topic_aliases_both_ways () {
    if (!is5) {
      return null
    }
    const subscriber = await Client.connect('a-sub', { properties: { topicAliasMaximum: 5 } })
    const publisher = await Client.connect('a-pub', { autoAssignTopicAlias: true })
    await subscriber.client.subscribeAsync('alias/#', { qos: 1 })
    for (let i = 0; i < 6; i++) {
      await publisher.client.publishAsync(`alias/${i % 2}`, `${i}`, { qos: 1 })
    }
    const got = (await subscriber.take(6)).map(m => [m.topic, m.text])
    await Promise.all([subscriber.end(), publisher.end()])
    return [got, subscriber.aliases.some(alias => alias > 0)]
  },

  async properties_arrive () {
    if (!is5) {
      return null
    }
    const client = await Client.connect('p')
    await client.client.subscribeAsync('p/t', { qos: 1, properties: { subscriptionIdentifier: 9 } })
    await client.client.publishAsync('p/t', '{}', {
      qos: 1,
      properties: {
        payloadFormatIndicator: true, messageExpiryInterval: 1000, contentType: 'application/json', responseTopic: 'p/answer',
        correlationData: Buffer.from('17'), userProperties: { a: ['1', '2'] }
      }
    })
    const { properties: got } = await client.message()
    await client.end()
    return [
      got.payloadFormatIndicator, got.contentType, got.responseTopic, got.correlationData.toString(), got.userProperties.a,
      [got.subscriptionIdentifier].flat()
    ]
  }
}

for (const [feature, call] of Object.entries(features)) {
  try {
    say({ feature, result: await call() })
  } catch (error) {
    say({ feature, result: `${error}` })
  }
}
process.exit(0)
