using Tributary.Edge.Ingest;
using Xunit;

namespace Tributary.Tests.Edge.Ingest;

public sealed class CommitStreamTests
{
    [Fact]
    public void A_stream_begins_at_0_and_only_grows()
    {
        var stream = new CommitStream();
        Assert.Equal(0, stream.Committed);
        stream.Advance(3);
        stream.Advance(3);
        Assert.Equal(3, stream.Committed);

        Assert.Throws<InvalidOperationException>(() => stream.Advance(2));
        Assert.Equal(3, stream.Committed);
    }
}
