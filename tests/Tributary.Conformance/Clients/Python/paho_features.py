"""What Eclipse Paho gets of each feature of MQTT: python3 paho_features.py PORT VERSION. Used by MqttFeatureTests. Says one line for each
feature, its name and what came of it; nothing is judged here."""
import json
import queue
import sys

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

SECONDS = 60
port, version = int(sys.argv[1]), int(sys.argv[2])
is_5 = version == 5
features = {}


def feature(call):
    features[call.__name__] = call
    return call


def properties(packet, **values):
    if not is_5:
        return None
    made = Properties(packet)
    for name, value in values.items():
        setattr(made, name, value)
    return made


def number(code):
    return getattr(code, "value", code)


class Client:
    """A client of which each event can be waited for."""

    def __init__(self, name, clean=True, will=None, keepalive=60, **connect):
        session = {} if is_5 else {"clean_session": clean}
        self.client = mqtt.Client(name, protocol=mqtt.MQTTv5 if is_5 else mqtt.MQTTv311, reconnect_on_failure=False, **session)
        self.events = {kind: queue.Queue() for kind in ("connect", "subscribe", "unsubscribe", "publish", "message", "disconnect")}
        self.client.on_connect = lambda c, u, flags, code, p=None: self.put("connect", (flags["session present"], number(code), p))
        self.client.on_subscribe = lambda c, u, mid, codes, p=None: self.put("subscribe", [number(code) for code in codes])
        self.client.on_unsubscribe = lambda c, u, mid, p=None, codes=None: self.put(
            "unsubscribe", [number(code) for code in (codes if isinstance(codes, list) else [codes])])
        self.client.on_publish = lambda c, u, mid: self.put("publish", mid)
        self.client.on_message = lambda c, u, message: self.put("message", message)
        self.client.on_disconnect = lambda c, u, code, p=None: self.put("disconnect", number(code))
        if will:
            self.client.will_set(**will)
        options = {}
        if is_5:
            options = {"clean_start": clean, "properties": properties(PacketTypes.CONNECT, **connect)}
        self.client.connect("127.0.0.1", port, keepalive, **options)
        self.client.loop_start()
        self.present, self.code, self.told = self.get("connect")

    def put(self, kind, value):
        self.events[kind].put(value)

    def get(self, kind):
        return self.events[kind].get(timeout=SECONDS)

    def subscribe(self, topic, qos=1, given=None, **options):
        if is_5:
            self.client.subscribe(topic, options=SubscribeOptions(qos=qos, **options), properties=given)
        else:
            self.client.subscribe(topic, qos)
        return self.get("subscribe")

    def publish(self, topic, payload, qos=1, retain=False, **given):
        self.client.publish(topic, payload, qos, retain, properties(PacketTypes.PUBLISH, **given))
        self.get("publish")

    def text(self):
        return self.get("message").payload.decode()

    def end(self):
        self.client.disconnect()
        self.get("disconnect")
        self.client.loop_stop()

    def vanish(self):
        """Without DISCONNECT."""
        self.client.loop_stop()
        self.client._sock_close()


@feature
def each_qos_both_ways():
    subscriber, publisher = Client("q-sub"), Client("q-pub")
    granted = [subscriber.subscribe(f"q/{qos}", qos)[0] for qos in (0, 1, 2)]
    for qos in (0, 1, 2):
        publisher.publish(f"q/{qos}", f"at {qos}", qos)
    got = sorted((message.topic, message.qos, message.payload.decode()) for message in (subscriber.get("message") for _ in range(3)))
    subscriber.end(), publisher.end()
    return [granted, got]


@feature
def session_with_what_was_missed():
    expiry = {"SessionExpiryInterval": 60}
    Client("kept").end()
    first = Client("kept", clean=False, **expiry)
    first.subscribe("kept/#", 2)
    first.end()
    publisher = Client("kept-pub")
    for qos in (1, 2, 1):
        publisher.publish("kept/t", f"missed at {qos}", qos)
    publisher.end()
    second = Client("kept", clean=False, **expiry)
    got = [second.text() for _ in range(3)]
    second.end()
    third = Client("kept", clean=True)
    third.end()
    fourth = Client("kept", clean=False)
    fourth.end()
    return [first.present, second.present, sorted(got), third.present, fourth.present]


@feature
def retained_value():
    publisher = Client("r-pub")
    publisher.publish("r/a", "old", retain=True)
    publisher.publish("r/a", "new", retain=True)
    publisher.publish("r/b", "gone", retain=True)
    publisher.publish("r/b", "", retain=True)
    subscriber = Client("r-sub")
    subscriber.subscribe("r/#")
    publisher.publish("r/a", "live", retain=True)
    got = [(message.topic, message.payload.decode(), message.retain) for message in (subscriber.get("message") for _ in range(2))]
    publisher.publish("r/a", "", retain=True)
    subscriber.end(), publisher.end()
    return got


@feature
def will_when_a_client_vanishes():
    subscriber = Client("w-sub")
    subscriber.subscribe("w/#", 2)
    Client("w-good", will={"topic": "w/good", "payload": "not said", "qos": 1}).end()
    Client("w-bad", will={"topic": "w/bad", "payload": "said", "qos": 2}).vanish()
    message = subscriber.get("message")
    subscriber.end()
    return [message.topic, message.payload.decode(), message.qos]


@feature
def takeover():
    first = Client("twice")
    second = Client("twice")
    code = first.get("disconnect")
    second.end()
    first.client.loop_stop()
    return code if is_5 else code != 0


@feature
def granted_qos_and_unsubscribe():
    client = Client("grant")
    granted = [client.subscribe("grant/a", 2)[0], client.subscribe("grant/+/b/#", 0)[0]]
    client.client.unsubscribe("grant/a")
    known = client.get("unsubscribe")
    client.client.unsubscribe("grant/none")
    unknown = client.get("unsubscribe")
    client.end()
    return [granted, known, unknown] if is_5 else granted


@feature
def properties_arrive():
    if not is_5:
        return None
    subscriber, publisher = Client("p-sub"), Client("p-pub")
    subscriber.subscribe("p/t", given=properties(PacketTypes.SUBSCRIBE, SubscriptionIdentifier=77))
    publisher.publish(
        "p/t", "{}", PayloadFormatIndicator=1, MessageExpiryInterval=1000, ContentType="application/json", ResponseTopic="p/answer",
        CorrelationData=b"17", UserProperty=[("a", "1"), ("a", "2")])
    got = subscriber.get("message").properties
    subscriber.end(), publisher.end()
    return [
        got.PayloadFormatIndicator, 0 < got.MessageExpiryInterval <= 1000, got.ContentType, got.ResponseTopic, got.CorrelationData.decode(),
        got.UserProperty, got.SubscriptionIdentifier]


@feature
def request_and_response():
    if not is_5:
        return None
    server, asker = Client("server"), Client("asker")
    server.subscribe("ask")
    asker.subscribe("answers/asker")
    asker.publish("ask", "6 x 7", ResponseTopic="answers/asker", CorrelationData=b"c1")
    asked = server.get("message")
    server.publish(asked.properties.ResponseTopic, "42", CorrelationData=asked.properties.CorrelationData)
    answer = asker.get("message")
    server.end(), asker.end()
    return [answer.payload.decode(), answer.properties.CorrelationData.decode()]


@feature
def subscription_options():
    if not is_5:
        return None
    client, other = Client("o"), Client("o-other")
    other.publish("o/kept", "kept", retain=True)
    client.subscribe("o/own", noLocal=True)
    client.publish("o/own", "own")
    other.publish("o/own", "other's")
    got = [client.text()]
    client.subscribe("o/kept", retainHandling=2)  # nothing
    client.subscribe("o/kept", retainHandling=1, retainAsPublished=True)  # nothing, since it is there
    other.publish("o/kept", "flag kept", retain=True)
    message = client.get("message")
    got.append((message.payload.decode(), message.retain))
    client.subscribe("o/kept", retainHandling=0)
    got.append(client.text())
    other.publish("o/kept", "", retain=True)
    client.end(), other.end()
    return got


@feature
def topic_alias_to_the_broker():
    if not is_5:
        return None
    subscriber, publisher = Client("a-sub"), Client("a-pub")
    subscriber.subscribe("alias/#")
    most = publisher.told.TopicAliasMaximum
    publisher.publish("alias/one", "1", TopicAlias=1)
    publisher.publish("", "2", TopicAlias=1)
    publisher.publish("alias/two", "3", TopicAlias=1)
    publisher.publish("", "4", TopicAlias=1)
    got = [(message.topic, message.payload.decode()) for message in (subscriber.get("message") for _ in range(4))]
    subscriber.end(), publisher.end()
    return [most > 0, got]


@feature
def limits_are_told_and_kept():
    if not is_5:
        return None
    client = Client("", keepalive=65535, MaximumPacketSize=200, ReceiveMaximum=1, SessionExpiryInterval=10)
    told = client.told
    client.subscribe("l/#", 2)
    publisher = Client("l-pub")
    publisher.publish("l/large", "x" * 1000)
    for i in range(5):
        publisher.publish("l/small", str(i), i % 3)
    got = [client.text() for _ in range(5)]
    client.end(), publisher.end()
    return [
        len(told.AssignedClientIdentifier) > 0, told.ServerKeepAlive, told.ReceiveMaximum > 0, told.MaximumPacketSize > 1000, sorted(got)]


@feature
def will_after_its_delay():
    if not is_5:
        return None
    subscriber = Client("d-sub")
    subscriber.subscribe("d/#")
    will = {"topic": "d/will", "payload": "said", "qos": 1, "properties": properties(PacketTypes.WILLMESSAGE, WillDelayInterval=1)}
    Client("d-back", clean=False, SessionExpiryInterval=60, will=dict(will, payload="never")).vanish()
    back = Client("d-back", clean=False, SessionExpiryInterval=60)
    Client("d-gone", clean=False, SessionExpiryInterval=60, will=will).vanish()
    got = subscriber.text()
    back.end(), subscriber.end()
    return [back.present, got]


@feature
def shared_subscription():
    if not is_5:
        return None
    members, publisher = [Client("s-1"), Client("s-2")], Client("s-pub")
    for member in members:
        member.subscribe("$share/crew/s/#")
    for i in range(20):
        publisher.publish("s/t", str(i))
    got, each = [], []
    while len(got) < 20:
        for member in members:
            while not member.events["message"].empty():
                got.append(int(member.text()))
                each.append(member)
    for client in (*members, publisher):
        client.end()
    return [sorted(got) == list(range(20)), len(set(map(id, each)))]


@feature
def retained_value_of_the_broker():
    client = Client("sys")
    client.subscribe("$SYS/broker/version")
    message = client.get("message")
    client.end()
    return [message.topic, message.retain, len(message.payload) > 0]


for name, call in features.items():
    try:
        print(json.dumps({"feature": name, "result": call()}), flush=True)
    except Exception as e:  # the others go on
        print(json.dumps({"feature": name, "result": f"{type(e).__name__}: {e}"}), flush=True)
