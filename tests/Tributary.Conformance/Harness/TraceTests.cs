using Xunit;

namespace Tributary.Conformance.Harness;

/// <summary>The reading of traces finds answers that leave too early.</summary>
public sealed class TraceTests
{
    private const string Write = @"7 pwrite64(5<\x2f\x61>, ""\x3c\x6d\x65\x73\x73\x61\x67\x65\x20\x30\x30\x30\x30\x30\x31\x3e"", 16, 0) = 16";
    private const string Flush = @"8 fdatasync(5<\x2f\x61>) = 0";
    private const string Ack = @"9 sendmsg(6<\x73\x6f\x63\x6b\x65\x74\x3a\x31>, {msg_iov=[{iov_base=""\x40\x02"", iov_len=2}, {iov_base=""\x00\x01"", iov_len=2}], msg_iovlen=2}, MSG_NOSIGNAL) = 4";

    [Fact]
    public void An_answer_after_a_flush_after_the_write_is_right() => Assert.True(Check(Write, Flush, Ack));

    [Fact]
    public void An_answer_without_a_flush_is_found() => Assert.False(Check(Write, Ack));

    [Fact]
    public void A_flush_that_began_before_the_write_returned_does_not_count() => Assert.False(Check(
        @"8 fdatasync(5<\x2f\x61> <unfinished ...>", Write, "8 <... fdatasync resumed>) = 0", Ack));

    [Fact]
    public void A_flush_that_returned_after_the_answer_began_does_not_count() => Assert.False(Check(
        Write, @"8 fdatasync(5<\x2f\x61> <unfinished ...>", Ack, "8 <... fdatasync resumed>) = 0"));

    [Fact]
    public void A_flush_that_failed_or_of_another_file_does_not_count()
    {
        Assert.False(Check(Write, @"8 fdatasync(5<\x2f\x61>) = -1 EIO (Input/output error)", Ack));
        Assert.False(Check(Write, @"8 fdatasync(7<\x2f\x62>) = 0", Ack));
    }

    [Fact]
    public void A_flush_of_the_whole_file_system_counts() => Assert.True(Check(Write, @"8 syncfs(3<\x2f>) = 0", Ack));

    [Fact]
    public void A_flush_that_did_not_reach_the_kernel_does_not_count() => Assert.False(Check(Write, @"8 fdatasync(5<\x2f\x61>) = 0 (INJECTED)", Ack));

    [Fact]
    public void A_write_in_two_lines_and_of_several_pieces_is_read()
    {
        var trace = Trace.Parse(
        [
            @"7 pwritev(5<\x2f\x61>, [{iov_base=""\x3c\x6d\x65\x73\x73\x61\x67\x65"", iov_len=8}, {iov_base=""\x20\x30\x30\x30\x30\x30\x31\x3e"", iov_len=8}], 2, 4 <unfinished ...>",
            @"8 recvmsg(9<\x73\x6f\x63\x6b\x65\x74\x3a\x32>,  <unfinished ...>",
            "7 <... pwritev resumed>) = 16",
            @"8 <... recvmsg resumed>{msg_name=NULL, msg_iov=[{iov_base=""\x70\x31"", iov_len=4096}], msg_iovlen=1}, 0) = 2",
            Flush,
            @"9 sendto(9<\x73\x6f\x63\x6b\x65\x74\x3a\x32>, ""\x01"", 1, MSG_NOSIGNAL, NULL, 0) = 1",
        ]);
        Assert.Equal(4, trace.Calls.Count);
        Assert.Equal([1], Marker.In(trace.Written.Single().Data));
        Assert.Equal("p1"u8.ToArray(), trace.Received.Single().Data);
        Assert.Empty(trace.FindEarly([(1, trace.Sent.Single().Enter)]));
    }

    [Fact]
    public void Answers_to_several_requests_on_their_way_are_told_apart()
    {
        const string socket = @"<\x73\x6f\x63\x6b\x65\x74\x3a\x33>";
        var trace = Trace.Parse(
        [
            Received(socket, [.. Request(7, 1), .. Request(8, 2)[..10]]),
            Received(socket, Request(8, 2)[10..]),
            $"9 sendto(6{socket}, \"{Hex(Answer(7))}\", 8, MSG_NOSIGNAL, NULL, 0) = 8",
            $"9 sendto(6{socket}, \"{Hex(Answer(8))}\", 8, MSG_NOSIGNAL, NULL, 0) = 8",
        ]);
        Assert.Equal([(1, 3), (2, 4)], TracedProduce.Answers(trace));

        static byte[] Request(byte correlation, int number) => [0, 0, 0, 24, 0, 0, 0, 9, 0, 0, 0, correlation, .. Marker.Of(number)];
        static byte[] Answer(byte correlation) => [0, 0, 0, 4, 0, 0, 0, correlation];
        static string Hex(byte[] bytes) => string.Concat(bytes.Select(value => $"\\x{value:x2}"));
        static string Received(string socket, byte[] bytes) => $"8 recvfrom(6{socket}, \"{Hex(bytes)}\", 4096, 0, NULL, NULL) = {bytes.Length}";
    }

    private static bool Check(params string[] lines)
    {
        var trace = Trace.Parse(lines);
        SystemCall ack = trace.Sent.Single();
        Assert.Equal([0x40, 2, 0, 1], ack.Data);
        return trace.FindEarly([(1, ack.Enter)]).Count == 0;
    }
}
