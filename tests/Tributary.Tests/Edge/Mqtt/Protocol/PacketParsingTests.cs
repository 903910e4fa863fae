using System.Text;
using Tributary.Edge.Mqtt;
using Tributary.Edge.Mqtt.Protocol;
using Tributary.Tests.Support;
using Xunit;

namespace Tributary.Tests.Edge.Mqtt.Protocol;

/// <summary>Bytes by hand, after the layouts of the standards.</summary>
public sealed class PacketParsingTests
{
    /// <summary>A CONNECT of each version with everything in it.</summary>
    private const string Connect311 =
        "0004 4D515454 04 EE 003C" // "MQTT" 4, all flags, QoS 1, keep-alive 60
        + "0004 64657631" // client id "dev1"
        + "0006 6C6173742F31 0003 627965" // will "last/1" "bye"
        + "0001 75 0002 7077"; // "u" "pw"

    private const string Connect5 =
        "0004 4D515454 05 CE 000A" // "MQTT" 5, all flags but will retain, QoS 1, keep-alive 10
        + "24 11 0000000A 21 0014 27 00000400 22 000A 19 01 17 00 26 0001 61 0001 62 15 0002 7878 16 0001 FF"
        + "0003 646576" // client id "dev"
        + "1D 18 00000005 01 01 02 0000000A 03 0001 74 08 0001 72 09 0001 AA 26 0000 0000" // will properties
        + "0001 77 0001 62" // will "w" "b"
        + "0001 75 0002 7077";

    private const string Publish311 = "0003 612F62 000A 68656C6C6F"; // topic "a/b", id 10, "hello"
    private const string Publish5 = "0003 612F62 000A 0F 01 01 02 00000E10 26 0001 6B 0002 7676 68656C6C6F";
    private const string Subscribe311 = "000A 0003 612F62 01 0003 632F64 02"; // id 10, "a/b" QoS 1, "c/d" QoS 2
    private const string Subscribe5 = "000A 03 0B 8101 0003 612F62 2D"; // id 10, identifier 129, "a/b" with all options
    private const string Unsubscribe5 = "000A 07 26 0001 6B 0001 76 0003 612F62";
    private const string Unsubscribe311 = "000A 0003 612F62 0003 632F64";
    private const string PubAck5 = "000A 10 06 1F 0003 6E6F74";
    private const string Disconnect5 = "04 05 11 00000000";

    private static readonly FixedHeader PublishQos1 = new(0x32, 2, 0);

    [Fact]
    public void A_connect_of_3_1_1_is_read()
    {
        ConnectPacket packet = ReadConnect(Bytes(Connect311), out byte level);
        Assert.Equal(4, level);
        Assert.Equal("dev1", packet.ClientId);
        Assert.True(packet.CleanStart);
        Assert.Equal(60, packet.KeepAlive);
        Assert.Equal("last/1", Encoding.UTF8.GetString(packet.Will!.Topic));
        Assert.Equal("bye", Encoding.UTF8.GetString(packet.Will.Payload));
        Assert.Equal(1, packet.Will.Qos);
        Assert.True(packet.Will.Retain);
        Assert.Equal(new ConnectProperties(), packet.Properties);
    }

    [Fact]
    public void A_connect_of_5_is_read()
    {
        ConnectPacket packet = ReadConnect(Bytes(Connect5), out byte level);
        Assert.Equal(5, level);
        Assert.Equal("dev", packet.ClientId);
        Assert.Equal(10, packet.KeepAlive);
        Assert.Equal(
            new ConnectProperties
            {
                SessionExpiryInterval = 10,
                ReceiveMaximum = 20,
                MaximumPacketSize = 1024,
                TopicAliasMaximum = 10,
                RequestProblemInformation = false,
                HasAuthenticationMethod = true,
            },
            packet.Properties);
        Assert.Equal("w", Encoding.UTF8.GetString(packet.Will!.Topic));
        Assert.Equal("b", Encoding.UTF8.GetString(packet.Will.Payload));
        Assert.False(packet.Will.Retain);
        // The delay is the broker's business, the rest the subscribers'.
        Assert.Equal(Bytes("01 01 02 0000000A 03 0001 74 08 0001 72 09 0001 AA 26 0000 0000"), packet.Will.Properties);
        PublishPacket published = PublishPacket.Of(packet.Will);
        Assert.Equal(3, published.ExpiryAt);
        Assert.Equal(1, published.Qos);
    }

    [Fact]
    public void A_publish_of_3_1_1_is_read()
    {
        PublishPacket packet = PublishPacket.Read(PublishQos1, Bytes(Publish311), ProtocolLevel.V311);
        Assert.Equal("a/b"u8, packet.Topic);
        Assert.Equal(10, packet.PacketId);
        Assert.Equal(1, packet.Qos);
        Assert.False(packet.IsRetained);
        Assert.Equal("hello"u8, packet.Payload);
        Assert.Equal(0, packet.Properties.Length);
    }

    [Fact]
    public void A_publish_of_5_is_read()
    {
        PublishPacket packet = PublishPacket.Read(PublishQos1, Bytes(Publish5), ProtocolLevel.V5);
        Assert.Equal("a/b"u8, packet.Topic);
        Assert.Equal(10, packet.PacketId);
        Assert.Equal("hello"u8, packet.Payload);
        Assert.Equal(Bytes("01 01 02 00000E10 26 0001 6B 0002 7676"), packet.Properties.ToArray());
        Assert.Equal(3, packet.ExpiryAt);
    }

    [Fact]
    public void A_publish_of_qos_0_has_no_identifier_and_may_be_empty()
    {
        PublishPacket packet = PublishPacket.Read(new FixedHeader(0x31, 2, 0), Bytes("0001 61"), ProtocolLevel.V311);
        Assert.Equal(0, packet.PacketId);
        Assert.Equal(0, packet.Qos);
        Assert.True(packet.IsRetained);
        Assert.Equal(0, packet.Payload.Length);
    }

    [Fact]
    public void A_subscribe_of_3_1_1_is_read()
    {
        var packet = new SubscribePacket(Bytes(Subscribe311), ProtocolLevel.V311);
        Assert.Equal(10, packet.PacketId);
        Assert.True(packet.Next());
        Assert.Equal("a/b"u8, packet.Filter);
        Assert.Equal(new SubscriptionOptions(1, false, false), packet.Options);
        Assert.True(packet.Next());
        Assert.Equal("c/d"u8, packet.Filter);
        Assert.Equal(2, packet.Options.Qos);
        Assert.False(packet.Next());
    }

    [Fact]
    public void A_subscribe_of_5_is_read()
    {
        var packet = new SubscribePacket(Bytes(Subscribe5), ProtocolLevel.V5);
        Assert.Equal(129u, packet.Identifier);
        Assert.True(packet.Next());
        Assert.Equal("a/b"u8, packet.Filter);
        Assert.Equal(new SubscriptionOptions(1, true, true, 2), packet.Options);
        Assert.False(packet.Next());
    }

    [Fact]
    public void An_unsubscribe_is_read()
    {
        var packet = new UnsubscribePacket(Bytes(Unsubscribe5), ProtocolLevel.V5);
        Assert.Equal(10, packet.PacketId);
        Assert.True(packet.Next());
        Assert.Equal("a/b"u8, packet.Filter);
        Assert.False(packet.Next());
    }

    [Fact]
    public void Acknowledgements_are_read_in_their_long_and_short_forms()
    {
        Assert.Equal(new Acknowledgement(10, (ReasonCode)0x10), Acknowledgement.Read(Bytes(PubAck5), ProtocolLevel.V5));
        Assert.Equal(new Acknowledgement(10, (ReasonCode)0x10), Acknowledgement.Read(Bytes("000A 10"), ProtocolLevel.V5));
        Assert.Equal(new Acknowledgement(10, ReasonCode.Success), Acknowledgement.Read(Bytes("000A"), ProtocolLevel.V5));
        Assert.Equal(new Acknowledgement(10, ReasonCode.Success), Acknowledgement.Read(Bytes("000A"), ProtocolLevel.V311));
        Assert.Equal(new DisconnectPacket(ReasonCode.DisconnectWithWill, 0), DisconnectPacket.Read(Bytes(Disconnect5), ProtocolLevel.V5));
        Assert.Equal(new DisconnectPacket(ReasonCode.Success, null), DisconnectPacket.Read([], ProtocolLevel.V5));
    }

    [Theory]
    [InlineData("30 00", 2, 0)]
    [InlineData("30 7F", 2, 127)]
    [InlineData("30 80 01", 3, 128)]
    [InlineData("30 FF 7F", 3, 16_383)]
    [InlineData("30 80 80 01", 4, 16_384)]
    [InlineData("30 FF FF 7F", 4, 2_097_151)]
    [InlineData("30 80 80 80 01", 5, 2_097_152)]
    [InlineData("30 FF FF FF 7F", 5, 268_435_455)]
    public void Remaining_lengths_are_read_and_written_as_the_standard_lists_them(string hex, int headerLength, int bodyLength)
    {
        byte[] bytes = Bytes(hex);
        for (int length = 0; length < bytes.Length; length++)
        {
            Assert.False(FixedHeader.TryRead(bytes.AsSpan(0, length), out _));
        }
        Assert.True(FixedHeader.TryRead([.. bytes, 0xFF], out FixedHeader header));
        Assert.Equal(new FixedHeader(0x30, headerLength, bodyLength), header);
        byte[] written = new byte[4];
        Assert.Equal(headerLength - 1, VariableInt.Write(written, bodyLength));
        Assert.Equal(bytes[1..], written[..(headerLength - 1)]);
        Assert.Equal(headerLength - 1, VariableInt.SizeOf(bodyLength));
    }

    [Fact]
    public void A_remaining_length_of_five_bytes_is_malformed() =>
        Assert.Equal(
            MqttCloseReason.Malformed,
            Assert.Throws<MqttProtocolException>(() => FixedHeader.TryRead(Bytes("30 80 80 80 80 01"), out _)).Reason);

    [Theory]
    [InlineData("0004 4D515454 04 03 003C 0001 61")] // the reserved flag
    [InlineData("0004 4D515454 04 1E 003C 0001 61 0001 61 0000")] // will QoS 3
    [InlineData("0004 4D515454 04 0A 003C 0001 61")] // will QoS without will
    [InlineData("0004 4D515454 04 22 003C 0001 61")] // will retain without will
    [InlineData("0004 4D515454 04 42 003C 0001 61 0001 61")] // password without user name
    [InlineData("0004 4D515454 04 02 003C 0001 FF")] // no UTF-8
    [InlineData("0004 4D515454 04 02 003C 0003 EDA080")] // a surrogate
    [InlineData("0004 4D515454 04 02 003C 0002 C080")] // an overlong null
    [InlineData("0004 4D515454 04 02 003C 0001 00")] // a null
    [InlineData("0004 4D515454 04 02 003C 0001 61 00")] // more than there is
    [InlineData("0004 4D515454 05 02 003C 03 21 0000 0001 61")] // receive maximum 0
    [InlineData("0004 4D515454 05 02 003C 05 27 00000000 0001 61")] // maximum packet size 0
    [InlineData("0004 4D515454 05 02 003C 06 21 0001 21 0001 0001 61")] // twice
    [InlineData("0004 4D515454 05 02 003C 02 17 02 0001 61")] // neither 0 nor 1
    [InlineData("0004 4D515454 05 02 003C 03 23 0001 0001 61")] // a property of PUBLISH
    [InlineData("0004 4D515454 05 02 003C 02 7F 00 0001 61")] // unknown
    [InlineData("0004 4D515454 05 02 003C 04 16 0001 FF 0001 61")] // authentication data without method
    [InlineData("0004 4D515454 05 02 003C 8000 0001 61")] // a length not in its shortest form
    [InlineData("0004 4D515454 05 02 003C 04 21 0001 0001 61")] // properties that reach into the client id
    [InlineData("0004 4D515454 05 06 003C 00 0001 61 00 0003 612F23 0000")] // a will to a filter
    public void A_connect_that_breaks_the_rules_is_refused(string hex) =>
        Assert.Throws<MqttProtocolException>(() => ReadConnect(Bytes(hex), out _));

    [Theory]
    [InlineData(0x36, 4, "0001 61 0001")] // QoS 3
    [InlineData(0x38, 4, "0001 61")] // DUP with QoS 0
    [InlineData(0x32, 4, "0001 61 0000")] // identifier 0
    [InlineData(0x30, 4, "0000 61")] // no topic
    [InlineData(0x30, 4, "0003 612F2B")] // a wildcard
    [InlineData(0x30, 4, "0001 23")]
    [InlineData(0x30, 4, "0002 6100")] // a null
    [InlineData(0x30, 4, "0002 61C3")] // half a character
    [InlineData(0x30, 5, "0000 00")] // no topic and no alias
    [InlineData(0x30, 5, "0001 61 02 0B 01")] // a subscription identifier
    [InlineData(0x30, 5, "0001 61 04 08 0001 2B")] // a response topic that is a filter
    [InlineData(0x30, 5, "0001 61 02 01 02")] // a payload format of 2
    [InlineData(0x30, 5, "0001 61 05 26 0001 61 00")] // half a user property
    public void A_publish_that_breaks_the_rules_is_refused(int first, int level, string hex) =>
        Assert.Throws<MqttProtocolException>(
            () => PublishPacket.Read(new FixedHeader((byte)first, 2, 0), Bytes(hex), (ProtocolLevel)level));

    [Theory]
    [InlineData(4, "000A")] // no filter
    [InlineData(4, "0000 0001 61 00")] // identifier 0
    [InlineData(4, "000A 0001 61 03")] // QoS 3
    [InlineData(4, "000A 0001 61 04")] // an option of MQTT 5
    [InlineData(5, "000A 00 0001 61 40")] // a reserved option
    [InlineData(5, "000A 00 0001 61 30")] // retain handling 3
    [InlineData(5, "000A 02 0B 00 0001 61 00")] // subscription identifier 0
    [InlineData(5, "000A 04 0B 01 0B 01 0001 61 00")] // two of them
    [InlineData(5, "000A 00 0001 61")] // no options
    public void A_subscribe_that_breaks_the_rules_is_refused(int level, string hex) =>
        Assert.Throws<MqttProtocolException>(() => ReadSubscribe(Bytes(hex), (ProtocolLevel)level));

    [Fact]
    public void Every_packet_that_ends_too_early_is_malformed()
    {
        foreach ((string name, byte[] whole, Action<byte[]> read) in Readers)
        {
            read(whole);
            for (int length = 0; length < whole.Length; length++)
            {
                if (EndsWell(name, length))
                {
                    continue;
                }
                byte[] cut = whole[..length];
                MqttCloseReason reason = Assert.Throws<MqttProtocolException>(() => read(cut)).Reason;
                Assert.True(reason is MqttCloseReason.Malformed or MqttCloseReason.ProtocolError, $"{name} cut to {length}: {reason}");
            }
        }
    }

    [Fact]
    public void Damaged_packets_are_read_or_refused_and_nothing_else()
    {
        for (int seed = 0; seed < 20_000; seed++)
        {
            var random = new Random(seed);
            (string name, byte[] whole, Action<byte[]> read) = Readers[random.Next(Readers.Length)];
            try
            {
                read(Mutations.Damage(whole, random));
            }
            catch (MqttProtocolException)
            {
                // As it should be.
            }
            catch (Exception e)
            {
                Assert.Fail($"{name}, seed {seed}: {e}");
            }
        }
    }

    private static (string Name, byte[] Whole, Action<byte[]> Read)[] Readers =>
    [
        ("CONNECT 3.1.1", Bytes(Connect311), body => ReadConnect(body, out _)),
        ("CONNECT 5", Bytes(Connect5), body => ReadConnect(body, out _)),
        ("PUBLISH 3.1.1", Bytes(Publish311), body => PublishPacket.Read(PublishQos1, body, ProtocolLevel.V311)),
        ("PUBLISH 5", Bytes(Publish5), body => PublishPacket.Read(PublishQos1, body, ProtocolLevel.V5)),
        ("SUBSCRIBE 3.1.1", Bytes(Subscribe311), body => ReadSubscribe(body, ProtocolLevel.V311)),
        ("SUBSCRIBE 5", Bytes(Subscribe5), body => ReadSubscribe(body, ProtocolLevel.V5)),
        ("UNSUBSCRIBE 3.1.1", Bytes(Unsubscribe311), body => ReadUnsubscribe(body, ProtocolLevel.V311)),
        ("UNSUBSCRIBE 5", Bytes(Unsubscribe5), body => ReadUnsubscribe(body, ProtocolLevel.V5)),
        ("PUBACK 5", Bytes(PubAck5), body => Acknowledgement.Read(body, ProtocolLevel.V5)),
        ("DISCONNECT 5", Bytes(Disconnect5), body => DisconnectPacket.Read(body, ProtocolLevel.V5)),
    ];

    /// <summary>Lengths at which a shorter packet is a whole one too.</summary>
    private static bool EndsWell(string name, int length) => name switch
    {
        "PUBLISH 3.1.1" => length >= 7,
        "PUBLISH 5" => length >= 23,
        "SUBSCRIBE 3.1.1" => length == 8,
        "UNSUBSCRIBE 3.1.1" => length == 7,
        "PUBACK 5" => length is 2 or 3,
        "DISCONNECT 5" => length is 0 or 1,
        _ => false,
    };

    private static ConnectPacket ReadConnect(byte[] body, out byte level)
    {
        var reader = new PacketReader(body);
        level = ConnectPacket.ReadLevel(ref reader);
        return ConnectPacket.Read(ref reader, (ProtocolLevel)level);
    }

    private static void ReadSubscribe(byte[] body, ProtocolLevel level)
    {
        var packet = new SubscribePacket(body, level);
        while (packet.Next())
        {
            Assert.False(packet.Filter.Contains((byte)0));
        }
    }

    private static void ReadUnsubscribe(byte[] body, ProtocolLevel level)
    {
        var packet = new UnsubscribePacket(body, level);
        while (packet.Next())
        {
            Assert.False(packet.Filter.Contains((byte)0));
        }
    }

    private static byte[] Bytes(string hex) => Convert.FromHexString(hex.Replace(" ", "", StringComparison.Ordinal));
}
