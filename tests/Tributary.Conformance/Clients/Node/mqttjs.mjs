// mqtt.js as a program: node mqttjs.mjs JSON. Used by MqttAccessTests: subscribes to its filters, publishes its messages at QoS 1 one after
// the other, and says what came of it and what it got; ends when it has as many messages as it is told to wait for.
import { readFileSync } from 'node:fs'
import mqtt from 'mqtt'
import { say } from './messages.mjs'

const args = JSON.parse(process.argv[2])
const file = name => args[name] && readFileSync(args[name])
const client = mqtt.connect(args.url, {
  protocolVersion: args.version, clientId: args.client, username: args.user, password: args.password,
  ca: file('ca'), cert: file('cert'), key: file('key'), reconnectPeriod: 0, connectTimeout: 60000
})
let received = 0
let finished = false
const endIfDone = () => {
  if (finished && received >= args.expected) {
    client.end()
  }
}
client.on('message', (topic, payload) => {
  say({ event: 'message', topic, payload: payload.toString() })
  received++
  endIfDone()
})
client.on('error', error => {
  say({ event: 'error', code: error.code, message: error.message })
  client.end(true)
})
client.on('close', () => say({ event: 'closed' }))
client.on('connect', async () => {
  for (const filter of args.filters) {
    try {
      await client.subscribeAsync(filter, { qos: 1 })
      say({ event: 'subscribed', filter })
    } catch (error) {
      say({ event: 'notSubscribed', filter, code: error.code })
    }
  }
  for (const [topic, payload] of args.messages) {
    try {
      await client.publishAsync(topic, payload, { qos: 1 })
      say({ event: 'published', topic })
    } catch (error) {
      say({ event: 'notPublished', topic, code: error.code })
    }
  }
  finished = true
  endIfDone()
})
