"""Eclipse Paho with a session that outlives its connections: python3 durable_client.py JSON. Used by SessionKillTests.

As a publisher it numbers the messages of each of its topics from 1, keeps some in flight, and repeats after a lost connection what was not
answered, as MQTT wants it. As a subscriber it writes each message to a file. SIGTERM ends it, a publisher after its last answer; its last
line says what it did. One thread does everything, since Paho lets a new message overtake those that it repeats otherwise."""
import json
import signal
import sys
import time

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

IN_FLIGHT = 20
RETRY_SECONDS = 0.05
args = json.loads(sys.argv[1])
presence = []
sent = {}
waiting = set()
state = {"stopping": False}
file = open(args["file"], "a", buffering=1) if args.get("file") else None
signal.signal(signal.SIGTERM, lambda *_: state.update(stopping=True))


def on_connect(client, userdata, flags, code, properties=None):
    if getattr(code, "value", code) != 0:
        return
    presence.append(flags["session present"])
    if file and not flags["session present"]:
        client.subscribe([(topic, args["qos"]) for topic in args["filters"]])
    elif file:
        print("SUBSCRIBED", flush=True)


def on_subscribe(client, userdata, mid, codes, properties=None):
    print("SUBSCRIBED", flush=True)


def on_message(client, userdata, message):
    file.write(f"{message.topic} {message.qos} {int(message.retain)} {message.payload.decode()}\n")


def on_publish(client, userdata, mid):
    waiting.discard(mid)


def publish(client, topic, level, retain=False):
    number = sent[topic] = sent.get(topic, 0) + 1
    mid = client.publish(topic, number, qos=level, retain=retain).mid
    if level > 0:
        waiting.add(mid)


def publish_some(client):
    name = args["client"]
    for level in 1, 2, 0:
        publish(client, f"devices/{name}-{level}/n", level)
    if sent[f"devices/{name}-1/n"] % 5 == 0:
        publish(client, f"state/{name}", 1, retain=True)


def reconnect(client):
    # Paho takes a PUBREL that it has to repeat for a PUBLISH after a second try to connect.
    for message in client._out_messages.values():
        if message.state == mqtt.mqtt_ms_resend_pubrel:
            message.state = mqtt.mqtt_ms_wait_for_pubcomp
    try:
        client.reconnect()
    except OSError:
        pass
    time.sleep(RETRY_SECONDS)


def make():
    version = mqtt.MQTTv5 if args["version"] == 5 else mqtt.MQTTv311
    session = {"clean_session": False} if version == mqtt.MQTTv311 else {}
    client = mqtt.Client(client_id=args["client"], protocol=version, reconnect_on_failure=False, **session)
    client.on_connect, client.on_subscribe, client.on_publish, client.on_message = on_connect, on_subscribe, on_publish, on_message
    client.max_inflight_messages_set(0)
    options = {}
    if version == mqtt.MQTTv5:
        options["clean_start"] = False
        options["properties"] = Properties(PacketTypes.CONNECT)
        options["properties"].SessionExpiryInterval = 3600
    client.connect_async("127.0.0.1", args["port"], **options)
    return client


def main():
    client = make()
    last = 0.0
    while not state["stopping"] or waiting:
        if client.loop(args.get("pause", 0.05)) != mqtt.MQTT_ERR_SUCCESS:
            reconnect(client)
        elif not file and not state["stopping"] and client.is_connected() and len(waiting) < IN_FLIGHT and time.time() > last + args["pause"]:
            last = time.time()
            publish_some(client)
    client.disconnect()
    client.loop_misc()
    print("DONE " + json.dumps({"sent": sent, "present": presence}), flush=True)


main()
