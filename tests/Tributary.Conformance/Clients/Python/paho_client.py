"""Eclipse Paho as a program: python3 paho_client.py JSON. Used by MqttAccessTests: subscribes to its filters, publishes its messages at
QoS 1, and says what came of it and what it got; ends when it has as many messages as it is told to wait for."""
import json
import sys

import paho.mqtt.client as mqtt

args = json.loads(sys.argv[1])
state = {"received": 0, "subscriptions": 0, "acknowledged": 0}
filters_of = {}


def say(**line):
    print(json.dumps(line), flush=True)


def end_if_done(client):
    if state["acknowledged"] == len(args["messages"]) and state["received"] >= args["expected"]:
        client.disconnect()


def on_connect(client, userdata, flags, code, properties=None):
    say(event="connected", code=getattr(code, "value", code))
    if code != 0:
        client.disconnect()
        return
    for topic in args["filters"]:
        filters_of[client.subscribe(topic, 1)[1]] = topic
    if not args["filters"]:
        publish(client)


def on_subscribe(client, userdata, mid, granted, properties=None):
    say(event="subscribed", filter=filters_of[mid], code=getattr(granted[0], "value", granted[0]))
    state["subscriptions"] += 1
    if state["subscriptions"] == len(args["filters"]):
        publish(client)


def publish(client):
    for topic, payload in args["messages"]:
        client.publish(topic, payload, qos=1)


def on_publish(client, userdata, mid):
    state["acknowledged"] += 1
    end_if_done(client)


def on_message(client, userdata, message):
    say(event="message", topic=message.topic, payload=message.payload.decode())
    state["received"] += 1
    end_if_done(client)


def on_disconnect(client, userdata, code, properties=None):
    say(event="closed", code=getattr(code, "value", code))
    client.disconnect()


client = mqtt.Client(
    client_id=args["client"], transport=args["transport"], protocol=mqtt.MQTTv5 if args["version"] == 5 else mqtt.MQTTv311)
client.on_connect, client.on_subscribe, client.on_publish = on_connect, on_subscribe, on_publish
client.on_message, client.on_disconnect = on_message, on_disconnect
if args.get("user"):
    client.username_pw_set(args["user"], args["password"])
if args.get("ca"):
    client.tls_set(ca_certs=args["ca"], certfile=args.get("cert"), keyfile=args.get("key"))
client.connect("localhost", args["port"])
client.loop_forever(retry_first_connection=False)
