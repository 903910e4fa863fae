using System.Buffers;
using Tributary.Edge.Mqtt;
using Tributary.Edge.Mqtt.Protocol;
using Xunit;

namespace Tributary.Tests.Edge.Mqtt.Protocol;

public sealed class PacketWritingTests
{
    private readonly PacketBuilder _builder = new();
    private readonly MqttOptions _options = new() { MaxInFlight = 100, MaxPacketBytes = 0x10000 };

    [Fact]
    public void A_client_of_3_1_1_is_let_in_without_a_session() =>
        AssertBytes("20 02 00 00", Answers.ConnAck(_builder, ProtocolLevel.V311, default, _options));

    [Fact]
    public void A_client_of_5_is_told_what_is_offered() =>
        AssertBytes(
            "20 1B 00 00 18 11 00000000 21 0064 25 01 27 00010000 22 0020 28 01 29 01 2A 01",
            Answers.ConnAck(_builder, ProtocolLevel.V5, default, _options));

    [Fact]
    public void A_client_of_5_is_told_its_identifier_and_keep_alive() =>
        AssertBytes(
            "20 24 01 00 21 11 00000009 21 0064 25 01 27 00010000 12 0003 612D31 22 0020 28 01 29 01 2A 01 13 003C",
            Answers.ConnAck(_builder, ProtocolLevel.V5, new Welcome("a-1", 60, true, 9), _options));

    [Fact]
    public void A_client_is_refused_in_the_words_of_its_version()
    {
        AssertBytes("20 02 00 01", Refused(ProtocolLevel.V311, ReasonCode.UnsupportedProtocolVersion));
        AssertBytes("20 02 00 02", Refused(ProtocolLevel.V311, ReasonCode.ClientIdentifierNotValid));
        AssertBytes("20 02 00 03", Refused(ProtocolLevel.V311, ReasonCode.ServerUnavailable));
        AssertBytes("", Refused(ProtocolLevel.V311, ReasonCode.MalformedPacket));
        AssertBytes("20 08 00 81 05 1F 0002 6E6F", Refused(ProtocolLevel.V5, ReasonCode.MalformedPacket));

        ReadOnlySpan<byte> Refused(ProtocolLevel level, ReasonCode code) => Answers.ConnAckRefusal(_builder, level, code, "no");
    }

    [Fact]
    public void Disconnect_and_acknowledgements_are_written()
    {
        AssertBytes("E0 02 8E 00", Answers.Disconnect(_builder, ReasonCode.SessionTakenOver, null));
        AssertBytes("E0 07 95 05 1F 0002 6E6F", Answers.Disconnect(_builder, ReasonCode.PacketTooLarge, "no"));
        AssertBytes("40 03 000A 97", Answers.PubAckRefusal(_builder, PacketType.PubAck, 10, ReasonCode.QuotaExceeded, null));
        AssertBytes("50 09 000A 97 05 1F 0002 6E6F", Answers.PubAckRefusal(_builder, PacketType.PubRec, 10, ReasonCode.QuotaExceeded, "no"));
        AssertBytes("70 02 000A", Answers.NotFound(_builder, PacketType.PubComp, ProtocolLevel.V311, 10));
        AssertBytes("62 03 000A 92", Answers.NotFound(_builder, PacketType.PubRel, ProtocolLevel.V5, 10));
        AssertBytes("D0 00", Answers.PingResp);
        Answers.BeginSubAck(_builder, PacketType.SubAck, ProtocolLevel.V5, 10);
        AssertBytes("90 05 000A 00 01 8F", _builder.Byte(1).Byte(0x8F).End());
        Answers.BeginSubAck(_builder, PacketType.UnsubAck, ProtocolLevel.V311, 10);
        AssertBytes("B0 02 000A", _builder.End());
    }

    [Theory]
    [InlineData(100, 1)]
    [InlineData(200, 2)]
    [InlineData(20_000, 3)]
    public void Long_properties_get_long_lengths(int length, int lengthBytes)
    {
        byte[] packet = Answers.Disconnect(_builder, ReasonCode.Unspecified, new string('x', length)).ToArray();
        Assert.True(FixedHeader.TryRead(packet, out FixedHeader header));
        Assert.Equal(packet.Length, header.PacketLength);
        Assert.Equal(1 + lengthBytes + 3 + length, header.BodyLength);
        var reader = new PacketReader(packet.AsSpan(header.Length + 1));
        Assert.Equal(length + 3, reader.Properties().Length);
        reader.End();
    }

    [Fact]
    public void A_message_is_written_for_either_version()
    {
        LocalMessage message = Keep(
            5, Support.Packets.Publish(5, "a/b", "hello", 1, 1, properties: [0x01, 0x01, 0x02, 0, 0, 0, 100]));
        AssertBytes("32 0C 0003 612F62 000A 68656C6C6F", Write(new OutboundMessage(message, 1, false, 0, null), 10, ProtocolLevel.V311));
        AssertBytes("31 0A 0003 612F62 68656C6C6F", Write(new OutboundMessage(message, 0, true, 0, null), 0, ProtocolLevel.V311));
        AssertBytes(
            "32 14 0003 612F62 000A 07 01 01 02 00000064 68656C6C6F",
            Write(new OutboundMessage(message, 1, false, 0, null), 10, ProtocolLevel.V5));
        AssertBytes(
            "30 17 0003 612F62 0C 0B 05 0B 8101 01 01 02 00000064 68656C6C6F",
            Write(new OutboundMessage(message, 0, false, 5, [129]), 0, ProtocolLevel.V5));
    }

    [Fact]
    public void Time_that_a_message_waited_is_taken_from_its_expiry()
    {
        LocalMessage message = Keep(5, Support.Packets.Publish(5, "a", "x", properties: [0x02, 0, 0, 0, 100]));
        var outbound = new OutboundMessage(message, 0, false, 0, null);
        AssertBytes("30 0A 0001 61 05 02 0000003A 78", Write(outbound, 0, ProtocolLevel.V5, TimeSpan.FromSeconds(42.9)));
        AssertBytes("30 04 0001 61 78", Write(outbound, 0, ProtocolLevel.V311, TimeSpan.FromSeconds(42.9)));
        Assert.Equal(MqttDropReason.Expired, Drop(outbound, new Recipient(ProtocolLevel.V5, uint.MaxValue), TimeSpan.FromSeconds(100.1)));
        Assert.Equal(MqttDropReason.Expired, Drop(outbound, new Recipient(ProtocolLevel.V311, uint.MaxValue), TimeSpan.FromSeconds(101)));
    }

    [Fact]
    public void A_message_larger_than_the_client_takes_is_not_written()
    {
        LocalMessage message = Keep(4, Support.Packets.Publish(4, "a", "12345"));
        var outbound = new OutboundMessage(message, 0, false, 0, null);
        Assert.Equal(MqttDropReason.TooLargeForSubscriber, Drop(outbound, new Recipient(ProtocolLevel.V5, 10), default));
        Assert.Null(Drop(outbound, new Recipient(ProtocolLevel.V5, 11), default));
    }

    [Fact]
    public void An_alias_comes_with_its_topic_once_and_then_instead_of_it()
    {
        var outbound = new OutboundMessage(Keep(5, Support.Packets.Publish(5, "a/bc", "x", properties: [0x01, 1])), 1, false, 3, null);
        var to = new Recipient(ProtocolLevel.V5, uint.MaxValue, new OutboundAliases(1));
        AssertBytes("32 11 0004 612F6263 0001 07 230001 0B03 0101 78", Write(outbound, 1, to));
        AssertBytes("32 0D 0000 0002 07 230001 0B03 0101 78", Write(outbound, 2, to));
        var other = new OutboundMessage(Keep(5, Support.Packets.Publish(5, "d/ef", "x")), 0, false, 0, null);
        AssertBytes("30 08 0004 642F6566 00 78", Write(other, 0, to)); // the only alias is in use
    }

    [Fact]
    public void An_alias_is_not_told_where_there_is_no_room_for_it_and_its_topic()
    {
        var outbound = new OutboundMessage(Keep(5, Support.Packets.Publish(5, "a/bc", "x")), 0, false, 0, null);
        var aliases = new OutboundAliases(1);
        AssertBytes("30 08 0004 612F6263 00 78", Write(outbound, 0, new Recipient(ProtocolLevel.V5, 10, aliases)));
        Assert.Equal(MqttDropReason.TooLargeForSubscriber, Drop(outbound, new Recipient(ProtocolLevel.V5, 9, aliases), default));
        AssertBytes("30 0B 0004 612F6263 03 230001 78", Write(outbound, 0, new Recipient(ProtocolLevel.V5, 13, aliases)));
        AssertBytes("30 07 0000 03 230001 78", Write(outbound, 0, new Recipient(ProtocolLevel.V5, 9, aliases)));
    }

    private static void AssertBytes(string hex, ReadOnlySpan<byte> packet) =>
        Assert.Equal(hex.Replace(" ", "", StringComparison.Ordinal), Convert.ToHexString(packet));

    private static ReadOnlySpan<byte> Write(OutboundMessage outbound, int id, ProtocolLevel level, TimeSpan waited = default) =>
        Write(outbound, id, new Recipient(level, uint.MaxValue), waited);

    private static ReadOnlySpan<byte> Write(OutboundMessage outbound, int id, Recipient to, TimeSpan waited = default)
    {
        var output = new ArrayBufferWriter<byte>();
        Assert.Null(PublishWriter.TryWrite(output, outbound, (ushort)id, to, waited, out int written));
        Assert.Equal(output.WrittenCount, written);
        return output.WrittenSpan;
    }

    private static MqttDropReason? Drop(OutboundMessage outbound, Recipient recipient, TimeSpan waited)
    {
        var output = new ArrayBufferWriter<byte>();
        MqttDropReason? reason = PublishWriter.TryWrite(output, outbound, 0, recipient, waited, out int written);
        Assert.Equal(output.WrittenCount, written);
        return reason;
    }

    private static LocalMessage Keep(int level, byte[] publish)
    {
        Assert.True(FixedHeader.TryRead(publish, out FixedHeader header));
        PublishPacket packet = PublishPacket.Read(header, publish.AsSpan(header.Length), (ProtocolLevel)level);
        return new LocalMessages(new MqttOptions(), new MqttMetrics(), TimeProvider.System).Keep(null!, packet)!;
    }
}
