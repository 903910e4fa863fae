using Xunit;

namespace Tributary.Conformance.Harness;

/// <summary>The reading of traces finds answers that leave too early.</summary>
public sealed class TraceTests
{
    private const string Write = @"7 pwrite64(5<\x2f\x61>, ""\x6d\x31"", 2, 0) = 2";
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
    public void A_write_in_two_lines_and_of_several_pieces_is_read()
    {
        Trace trace = Trace.Parse(
        [
            @"7 pwritev(5<\x2f\x61>, [{iov_base=""\x6d"", iov_len=1}, {iov_base=""\x31"", iov_len=1}], 2, 4 <unfinished ...>",
            @"8 recvmsg(9<\x73\x6f\x63\x6b\x65\x74\x3a\x32>,  <unfinished ...>",
            "7 <... pwritev resumed>) = 2",
            @"8 <... recvmsg resumed>{msg_name=NULL, msg_iov=[{iov_base=""\x70\x31"", iov_len=4096}], msg_iovlen=1}, 0) = 2",
            Flush,
            @"9 sendto(9<\x73\x6f\x63\x6b\x65\x74\x3a\x32>, ""\x01"", 1, MSG_NOSIGNAL, NULL, 0) = 1",
        ]);
        Assert.Equal(4, trace.Calls.Count);
        Assert.Equal("m1"u8.ToArray(), trace.Calls[0].Data);
        SystemCall answer = Assert.IsType<SystemCall>(trace.AnswerTo("p1"u8.ToArray()));
        Assert.True(trace.IsDurableBefore("m1"u8.ToArray(), answer.Enter));
        Assert.Null(trace.AnswerTo("p2"u8.ToArray()));
    }

    private static bool Check(params string[] lines)
    {
        Trace trace = Trace.Parse(lines);
        SystemCall ack = trace.Sent.Single();
        Assert.Equal([0x40, 2, 0, 1], ack.Data);
        return trace.IsDurableBefore("m1"u8.ToArray(), ack.Enter);
    }
}
