using Tributary.Broker;
using Tributary.Contracts.Kafka.Messages;
using Tributary.Tests.Broker.Support;
using Xunit;
using ErrorCode = Tributary.Contracts.Kafka.ErrorCode;

namespace Tributary.Tests.Broker.Gateway;

/// <summary>Fetch sessions (KIP-227), in all versions that have them.</summary>
public sealed class FetchSessionTests : IAsyncLifetime
{
    private readonly TestBroker _broker = new();
    private TestClient _client = null!;
    private TestClient _writer = null!;
    private Guid _id;

    public async ValueTask InitializeAsync()
    {
        _id = await _broker.CreateTopicAsync("t", partitions: 3);
        _client = _broker.Connect();
        _writer = _broker.Connect();
    }

    public async ValueTask DisposeAsync()
    {
        await _client.DisposeAsync();
        await _writer.DisposeAsync();
        await _broker.DisposeAsync();
    }

    [Theory]
    [EveryVersion<FetchRequest>(Since = 7)]
    public async Task A_session_is_asked_for_and_told_what_has_changed(short version)
    {
        await ProduceAsync(1);
        FetchResponse full = await _client.AskAsync(OfAll().InSession(0, 0), version);
        Assert.NotEqual(0, full.SessionId);
        Assert.Equal([(0, 0), (1, 1), (2, 0)], Sent(full));

        FetchResponse nothing = await _client.AskAsync(Changed(full.SessionId, 1, (1, 1)), version);
        Assert.Equal((ErrorCode.None, full.SessionId, 0), (nothing.ErrorCode, nothing.SessionId, nothing.Responses.Length));

        await ProduceAsync(2);
        FetchResponse one = await _client.AskAsync(Ask.More(full.SessionId, 2), version);
        Assert.Equal([(2, 1)], Sent(one));
        FetchResponse.FetchableTopicResponse topic = one.Responses.Single();
        Assert.Equal((version >= 13 ? "" : "t", version >= 13 ? _id : Guid.Empty), (topic.Topic, topic.TopicId));
        Assert.Equal((1L, 0L), (topic.Partitions[0].HighWatermark, topic.Partitions[0].LogStartOffset));
        Assert.Single((await _client.AskAsync(Ask.More(full.SessionId, 3), version)).Responses); // its offset was not moved on
    }

    [Theory]
    [EveryVersion<FetchRequest>(Since = 7)]
    public async Task Partitions_are_added_changed_and_forgotten(short version)
    {
        await ProduceAsync(0);
        await ProduceAsync(2);
        FetchRequest first = Ask.Fetch("t", 0, id: _id).InSession(0, 0);
        int session = (await _client.AskAsync(first, version)).SessionId;
        FetchResponse added = await _client.AskAsync(Changed(session, 1, (0, 1), (2, 0)), version);
        Assert.Equal([(2, 1)], Sent(added));

        FetchRequest forget = Changed(session, 2);
        forget.ForgottenTopicsData = [new() { Topic = "t", TopicId = _id, Partitions = [2, 77] }];
        Assert.Empty((await _client.AskAsync(forget, version)).Responses);
        await ProduceAsync(2);
        await ProduceAsync(0);
        Assert.Equal([(0, 1)], Sent(await _client.AskAsync(Ask.More(session, 3), version)));
    }

    [Theory]
    [EveryVersion<FetchRequest>(Since = 7)]
    public async Task An_epoch_that_is_not_the_next_one_is_refused_and_nothing_of_it_counts(short version)
    {
        int session = await BeginAsync(version);
        Assert.Equal(ErrorCode.InvalidFetchSessionEpoch, (await _client.AskAsync(Changed(session, 2, (0, 9)), version)).ErrorCode);
        Assert.Equal(ErrorCode.InvalidFetchSessionEpoch, (await _client.AskAsync(Ask.More(session, -2), version)).ErrorCode);
        Assert.Equal(ErrorCode.None, (await _client.AskAsync(Ask.More(session, 1), version)).ErrorCode);
        FetchResponse again = await _client.AskAsync(Ask.More(session, 1), version);
        Assert.Equal((ErrorCode.InvalidFetchSessionEpoch, 0, 0), (again.ErrorCode, again.SessionId, again.Responses.Length));
        Assert.Equal(ErrorCode.None, (await _client.AskAsync(Ask.More(session, 2), version)).ErrorCode);
    }

    [Theory]
    [EveryVersion<FetchRequest>(Since = 7)]
    public async Task A_session_that_is_not_known_is_told_to_be_gone(short version)
    {
        int session = await BeginAsync(version);
        Assert.Equal(ErrorCode.FetchSessionIdNotFound, (await _client.AskAsync(Ask.More(session ^ 1, 1), version)).ErrorCode);
        await _broker.RestartAsync();
        await using TestClient client = _broker.Connect();
        FetchResponse gone = await client.AskAsync(Ask.More(session, 1), version);
        Assert.Equal((ErrorCode.FetchSessionIdNotFound, 0, 0), (gone.ErrorCode, gone.SessionId, gone.Responses.Length));
    }

    [Theory]
    [EveryVersion<FetchRequest>(Since = 7)]
    public async Task A_session_ends_when_its_client_says_so_or_begins_another(short version)
    {
        int first = await BeginAsync(version);
        FetchResponse other = await _client.AskAsync(OfAll().InSession(first, 0), version);
        Assert.NotEqual((0, first), (0, other.SessionId));
        Assert.Equal(ErrorCode.FetchSessionIdNotFound, (await _client.AskAsync(Ask.More(first, 1), version)).ErrorCode);
        FetchResponse last = await _client.AskAsync(OfAll().InSession(other.SessionId, -1), version);
        Assert.Equal((ErrorCode.None, 0, 3), (last.ErrorCode, last.SessionId, last.Responses[0].Partitions.Length));
        Assert.Equal(ErrorCode.FetchSessionIdNotFound, (await _client.AskAsync(Ask.More(other.SessionId, 1), version)).ErrorCode);
    }

    [Theory]
    [EveryVersion<FetchRequest>(Since = 7)]
    public async Task A_session_without_partitions_has_ended(short version)
    {
        int session = await BeginAsync(version);
        FetchRequest forget = Ask.More(session, 1, maxWaitMs: int.MaxValue);
        forget.ForgottenTopicsData = [new() { Topic = "t", TopicId = _id, Partitions = [0, 1, 2] }];
        FetchResponse last = await _client.AskAsync(forget, version);
        Assert.Equal((ErrorCode.None, 0, 0), (last.ErrorCode, last.SessionId, last.Responses.Length));
        Assert.Equal(ErrorCode.FetchSessionIdNotFound, (await _client.AskAsync(Ask.More(session, 2), version)).ErrorCode);
    }

    [Fact]
    public async Task A_session_that_names_topics_otherwise_than_the_request_is_refused()
    {
        int byName = await BeginAsync(12);
        Assert.Equal(ErrorCode.FetchSessionTopicIdError, (await _client.AskAsync(Ask.More(byName, 1), 13)).ErrorCode);
        int byId = await BeginAsync(13);
        Assert.Equal(ErrorCode.FetchSessionTopicIdError, (await _client.AskAsync(Ask.More(byId, 1), 12)).ErrorCode);
        Assert.Equal(ErrorCode.None, (await _client.AskAsync(Ask.More(byId, 1), 17)).ErrorCode);
    }

    [Theory]
    [EveryVersion<FetchRequest>(Since = 13)]
    public async Task A_topic_made_anew_is_an_error_in_a_session_by_id_and_the_new_one_in_a_session_by_name(short version)
    {
        int byName = await BeginAsync(12);
        int byId = await BeginAsync(version);
        Guid anew = await _broker.CreateTopicAsync("t", partitions: 3);
        await ProduceAsync(1);
        Assert.Equal([(1, 1)], Sent(await _client.AskAsync(Ask.More(byName, 1), 12)));
        FetchResponse gone = await _client.AskAsync(Ask.More(byId, 1, maxWaitMs: int.MaxValue), version);
        Assert.Equal(
            Enumerable.Repeat(ErrorCode.UnknownTopicId, 3), gone.Responses.Single().Partitions.Select(partition => partition.ErrorCode));
        FetchRequest replace = Changed(byId, 2);
        replace.ForgottenTopicsData = [new() { TopicId = _id, Partitions = [0, 1, 2] }];
        replace.Topics = [new() { TopicId = anew, Partitions = [new() { Partition = 1, PartitionMaxBytes = 1 << 20 }] }];
        Assert.Equal([(1, 1)], Sent(await _client.AskAsync(replace, version)));
    }

    [Theory]
    [EveryVersion<FetchRequest>(Since = 7)]
    public async Task A_waiting_fetch_of_a_session_wakes_for_records_and_ends_empty_at_its_deadline(short version)
    {
        int session = await BeginAsync(version);
        int waiting = await _client.SendAsync(Ask.More(session, 1, maxWaitMs: 60_000), version);
        await ReadersAsync(2, 1);
        Assert.False(_client.HasResponse());
        await ProduceAsync(2);
        FetchResponse woken = await _client.ReceiveAsync<FetchResponse>(waiting, version);
        Assert.Equal([(2, 1)], Sent(woken));

        waiting = await _client.SendAsync(Changed(session, 2, 500, (2, 1)), version);
        await ReadersAsync(0, 1);
        _broker.Time.Advance(TimeSpan.FromMilliseconds(499));
        Assert.False(_client.HasResponse());
        _broker.Time.Advance(TimeSpan.FromMilliseconds(1));
        FetchResponse empty = await _client.ReceiveAsync<FetchResponse>(waiting, version);
        Assert.Equal((ErrorCode.None, session, 0), (empty.ErrorCode, empty.SessionId, empty.Responses.Length));
        await ReadersAsync(0, 0);
    }

    [Theory]
    [EveryVersion<FetchRequest>(Since = 7)]
    public async Task A_start_that_moved_is_told_once(short version)
    {
        await ProduceAsync(0);
        await ProduceAsync(0);
        int session = await BeginAsync(version, offset: 2);
        Assert.Empty((await _client.AskAsync(Ask.More(session, 1), version)).Responses);
        _broker.Partition("t").Log.AdvanceStart(1);
        Assert.Equal(1, (await _client.AskAsync(Ask.More(session, 2), version)).Single().LogStartOffset);
        Assert.Empty((await _client.AskAsync(Ask.More(session, 3), version)).Responses);
    }

    [Theory]
    [EveryVersion<FetchRequest>(Since = 7)]
    public async Task An_error_is_told_each_time_at_once_and_after_it_the_ends_again(short version)
    {
        int session = await BeginAsync(version);
        await _broker.Control.SetAsync(TestControlPlane.Make("t", _id, 3, leaderEpoch: 3, leader: 2));
        for (int epoch = 1; epoch <= 2; epoch++)
        {
            FetchResponse refused = await _client.AskAsync(Ask.More(session, epoch, maxWaitMs: int.MaxValue), version);
            Assert.Equal(
                Enumerable.Repeat(ErrorCode.NotLeaderOrFollower, 3), refused.Responses.Single().Partitions.Select(one => one.ErrorCode));
        }
        await _broker.Control.SetAsync(TestControlPlane.Make("t", _id, 3, leaderEpoch: 4));
        FetchResponse back = await _client.AskAsync(Ask.More(session, 3), version);
        Assert.Equal([(ErrorCode.None, 0L), (ErrorCode.None, 0L), (ErrorCode.None, 0L)],
            back.Responses.Single().Partitions.Select(one => (one.ErrorCode, one.HighWatermark)));
        Assert.Empty((await _client.AskAsync(Ask.More(session, 4), version)).Responses);
    }

    [Theory]
    [EveryVersion<FetchRequest>(Since = 7)]
    public async Task A_full_response_starves_no_partition(short version)
    {
        for (int i = 0; i < 9; i++)
        {
            await ProduceAsync(i % 3, valueBytes: 1000);
        }
        FetchRequest first = OfAll();
        first.MaxBytes = 1;
        FetchResponse full = await _client.AskAsync(first.InSession(0, 0), version);
        Assert.Equal([(0, 1), (1, 0), (2, 0)], Sent(full));
        var next = new long[3];
        next[0]++;
        for (int epoch = 1; epoch <= 8; epoch++)
        {
            FetchRequest request = Changed(full.SessionId, epoch, [.. next.Select((offset, index) => (index, offset))]);
            request.MaxBytes = 1;
            (int index, int batches) = Sent(await _client.AskAsync(request, version)).Single(sent => sent.Batches > 0);
            next[index] += batches;
        }
        Assert.Equal([3, 3, 3], next);
    }

    [Theory]
    [EveryVersion<FetchRequest>(Since = 7)]
    public async Task Of_two_requests_at_once_the_later_one_counts(short version)
    {
        int session = await BeginAsync(version);
        int waiting = await _client.SendAsync(Ask.More(session, 1, maxWaitMs: 60_000), version);
        await ReadersAsync(0, 1);
        await using TestClient other = _broker.Connect();
        Assert.Equal(ErrorCode.None, (await other.AskAsync(Ask.More(session, 2), version)).ErrorCode);
        await ProduceAsync(0);
        FetchResponse superseded = await _client.ReceiveAsync<FetchResponse>(waiting, version);
        Assert.Equal((ErrorCode.InvalidFetchSessionEpoch, 0), (superseded.ErrorCode, superseded.Responses.Length));
        Assert.Equal([(0, 1)], Sent(await other.AskAsync(Ask.More(session, 3), version)));
        Assert.Equal(0, _broker.Server.Metrics.ResponseBytesHeld);
    }

    [Theory]
    [EveryVersion<FetchRequest>(Until = 6)]
    public async Task Versions_without_sessions_get_none(short version)
    {
        FetchResponse full = await _client.AskAsync(OfAll(), version);
        Assert.Equal((0, 3), (full.SessionId, full.Responses[0].Partitions.Length));
    }

    [Fact]
    public async Task Sessions_and_their_partitions_are_bounded_and_give_way_when_they_are_idle_or_small()
    {
        var limits = new BrokerOptions
        {
            MaxFetchSessions = 2,
            MaxFetchSessionPartitions = 5,
            FetchSessionEviction = TimeSpan.FromMinutes(2),
            FrameGrace = TimeSpan.FromHours(1), // time moves on while the broker may not know yet that its answer was taken
        };
        await using var broker = new TestBroker(limits);
        await broker.CreateTopicAsync("t", partitions: 6);
        await using TestClient client = broker.Connect();
        int small = (await client.AskAsync(Of(0).InSession(0, 0), 12)).SessionId;
        int large = (await client.AskAsync(Of(0, 1).InSession(0, 0), 12)).SessionId;
        Assert.DoesNotContain(0, new[] { small, large });
        FetchResponse none = await client.AskAsync(Of(0, 1, 2).InSession(0, 0), 12);
        Assert.Equal((ErrorCode.None, 0, 3), (none.ErrorCode, none.SessionId, none.Responses[0].Partitions.Length)); // all are new

        broker.Time.Advance(TimeSpan.FromMinutes(1));
        Assert.Equal(ErrorCode.None, (await client.AskAsync(Ask.More(small, 1), 12)).ErrorCode);
        Assert.Equal(ErrorCode.None, (await client.AskAsync(Ask.More(large, 1), 12)).ErrorCode);
        broker.Time.Advance(TimeSpan.FromMinutes(1));
        Assert.Equal(0, (await client.AskAsync(Of(3).InSession(0, 0), 12)).SessionId); // both are used, and not smaller
        int larger = (await client.AskAsync(Of(0, 1, 2).InSession(0, 0), 12)).SessionId;
        Assert.NotEqual(0, larger);
        Assert.Equal(ErrorCode.FetchSessionIdNotFound, (await client.AskAsync(Ask.More(small, 2), 12)).ErrorCode);

        FetchRequest more = Of(3).InSession(large, 2); // one too many over all
        Assert.Equal(ErrorCode.FetchSessionIdNotFound, (await client.AskAsync(more, 12)).ErrorCode);
        Assert.Equal(ErrorCode.None, (await client.AskAsync(Ask.More(larger, 1), 12)).ErrorCode);

        Assert.NotEqual(0, (await client.AskAsync(Of(0).InSession(0, 0), 12)).SessionId);
        broker.Time.Advance(TimeSpan.FromMinutes(2));
        Assert.NotEqual(0, (await client.AskAsync(Of(5).InSession(0, 0), 12)).SessionId); // idle: any may have its place
        Assert.Equal(ErrorCode.FetchSessionIdNotFound, (await client.AskAsync(Ask.More(larger, 2), 12)).ErrorCode);
    }

    private async Task<int> BeginAsync(short version, long offset = 0)
    {
        FetchRequest request = OfAll(offset);
        int session = (await _client.AskAsync(request.InSession(0, 0), version)).SessionId;
        Assert.NotEqual(0, session);
        return session;
    }

    private async Task ProduceAsync(int partition, int valueBytes = 10)
    {
        var produced = (await _writer.AskAsync(Ask.Produce("t", Batches.Of(valueBytes: valueBytes), partition: partition), 9)).Single();
        Assert.Equal(ErrorCode.None, produced.ErrorCode);
    }

    private Task ReadersAsync(int partition, int count) =>
        Eventually.HoldsAsync(() => _broker.Partition("t", partition).Waiters.Readers == count);

    /// <summary>The partitions of a response, in order, and how many batches each has.</summary>
    private static List<(int Partition, int Batches)> Sent(FetchResponse response)
    {
        Assert.Equal(ErrorCode.None, response.ErrorCode);
        return [.. response.Responses.SelectMany(topic => topic.Partitions)
            .Select(partition => (partition.PartitionIndex, Batches.Split(partition.Records.Span).Count))];
    }

    private FetchRequest OfAll(long firstOffset = 0)
    {
        FetchRequest request = Of(0, 1, 2);
        request.Topics[0].TopicId = _id;
        request.Topics[0].Partitions[0].FetchOffset = firstOffset;
        return request;
    }

    private static FetchRequest Of(params int[] partitions)
    {
        FetchRequest request = Ask.Fetch("t", 0);
        request.Topics[0].Partitions =
            [.. partitions.Select(index => new FetchRequest.FetchPartition { Partition = index, PartitionMaxBytes = 1 << 20 })];
        return request;
    }

    private FetchRequest Changed(int session, int epoch, params (int Partition, long Offset)[] offsets) => Changed(session, epoch, 0, offsets);

    private FetchRequest Changed(int session, int epoch, int maxWaitMs, params (int Partition, long Offset)[] offsets)
    {
        FetchRequest request = Ask.More(session, epoch, maxWaitMs);
        request.Topics =
        [
            new()
            {
                Topic = "t",
                TopicId = _id,
                Partitions =
                [
                    .. offsets.Select(one => new FetchRequest.FetchPartition
                    {
                        Partition = one.Partition, FetchOffset = one.Offset, PartitionMaxBytes = 1 << 20,
                    }),
                ],
            },
        ];
        return request;
    }
}
