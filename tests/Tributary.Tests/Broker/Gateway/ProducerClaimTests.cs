using Tributary.Broker.Partitions;
using Tributary.Contracts.Kafka.Messages;
using Tributary.Contracts.Records;
using Tributary.Tests.Broker.Support;
using Xunit;
using ErrorCode = Tributary.Contracts.Kafka.ErrorCode;

namespace Tributary.Tests.Broker.Gateway;

public sealed class ProducerClaimTests
{
    private const long Id = 10;
    private static readonly Guid First = new(1, 0, 0, [0, 0, 0, 0, 0, 0, 0, 1]);
    private static readonly Guid Second = new(2, 0, 0, [0, 0, 0, 0, 0, 0, 0, 2]);

    [Fact]
    public async Task Only_who_has_claimed_a_producer_may_write_under_it_and_the_later_start_wins()
    {
        await using var broker = new TestBroker();
        await broker.CreateTopicAsync("t");
        await using TestClient client = broker.Connect();
        Assert.Equal(First, (await ClaimAsync(client, First, start: 1)).ClaimedBy);
        Assert.Equal(ErrorCode.None, await WriteAsync(client, First, sequence: 0));
        Assert.Equal(ErrorCode.InvalidProducerEpoch, await WriteAsync(client, Second, sequence: 1));
        Assert.Equal(ErrorCode.InvalidProducerEpoch, await WriteAsync(client, Guid.Empty, sequence: 1));

        DescribeProducersResponse.PartitionResponse taken = await ClaimAsync(client, Second, start: 2);
        Assert.Equal((Second, 0), (taken.ClaimedBy, taken.ActiveProducers.Single().LastSequence));
        Assert.Equal(ErrorCode.InvalidProducerEpoch, await WriteAsync(client, First, sequence: 1));
        Assert.Equal(ErrorCode.None, await WriteAsync(client, Second, sequence: 1));
        Assert.Equal(Second, (await ClaimAsync(client, First, start: 2)).ClaimedBy);
        Assert.Equal(Second, (await ClaimAsync(client, First, start: 1)).ClaimedBy);
        Assert.Equal(ErrorCode.None, await WriteAsync(client, Second, sequence: 2));
    }

    [Fact]
    public async Task A_duplicate_of_another_process_is_refused_not_answered()
    {
        await using var broker = new TestBroker();
        await broker.CreateTopicAsync("t");
        await using TestClient client = broker.Connect();
        await ClaimAsync(client, First, start: 1);
        Assert.Equal(ErrorCode.None, await WriteAsync(client, First, sequence: 0));
        Assert.Equal(ErrorCode.None, await WriteAsync(client, First, sequence: 0));
        await ClaimAsync(client, Second, start: 2);
        Assert.Equal(ErrorCode.InvalidProducerEpoch, await WriteAsync(client, First, sequence: 0));
    }

    [Fact]
    public async Task After_a_restart_of_the_broker_a_process_must_claim_again_and_others_need_not_claim_at_all()
    {
        await using var broker = new TestBroker();
        await broker.CreateTopicAsync("t");
        await using (TestClient client = broker.Connect())
        {
            Assert.Equal(ErrorCode.InvalidProducerEpoch, await WriteAsync(client, First, sequence: 0));
            await ClaimAsync(client, First, start: 1);
            Assert.Equal(ErrorCode.None, await WriteAsync(client, First, sequence: 0));
        }
        await broker.RestartAsync();
        await using TestClient again = broker.Connect();
        Assert.Equal(ErrorCode.InvalidProducerEpoch, await WriteAsync(again, First, sequence: 1));
        Assert.Equal(ErrorCode.None, await WriteAsync(again, Guid.Empty, sequence: 1));
        Assert.Equal(First, (await ClaimAsync(again, First, start: 1)).ClaimedBy);
        Assert.Equal(ErrorCode.None, await WriteAsync(again, First, sequence: 2));
    }

    [Fact]
    public async Task A_question_without_a_claim_changes_nothing_and_names_nobody()
    {
        await using var broker = new TestBroker();
        await broker.CreateTopicAsync("t");
        await using TestClient client = broker.Connect();
        await ClaimAsync(client, First, start: 1);
        Assert.Equal(Guid.Empty, (await client.AskAsync(Ask.Producers("t", Id), 0)).Single().ClaimedBy);
        Assert.Equal(ErrorCode.None, await WriteAsync(client, First, sequence: 0));
    }

    [Fact]
    public void More_claims_than_are_kept_are_all_forgotten_and_can_be_made_again()
    {
        var claims = new ProducerClaims();
        var claimant = new Claimant(First, 1);
        for (int id = 0; id < ProducerClaims.MaxClaims; id++)
        {
            claims.Claim(id, claimant);
        }
        Assert.True(claims.Allow(new BatchSender(0, First)));
        claims.Claim(ProducerClaims.MaxClaims, claimant);
        Assert.False(claims.Allow(new BatchSender(0, First)));
        Assert.Equal(First, claims.Claim(0, claimant));
        Assert.True(claims.Allow(new BatchSender(0, First)));
    }

    private static async Task<DescribeProducersResponse.PartitionResponse> ClaimAsync(TestClient client, Guid incarnation, long start)
    {
        DescribeProducersRequest question = Ask.Producers("t", Id);
        question.Claim = new() { Incarnation = incarnation, Start = start };
        return (await client.AskAsync(question, 0)).Single();
    }

    private static async Task<ErrorCode> WriteAsync(TestClient client, Guid incarnation, int sequence)
    {
        ProduceRequest request = Ask.Produce("t", Batches.Of(1, new BatchProducer(Id, 0, sequence)));
        request.Incarnation = incarnation;
        return (await client.AskAsync(request, 9)).Single().ErrorCode;
    }
}
