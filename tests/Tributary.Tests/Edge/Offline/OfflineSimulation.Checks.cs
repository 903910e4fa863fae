using System.Globalization;
using Tributary.Contracts.Telemetry;
using Tributary.Edge.Buffer;
using Tributary.Edge.Ingest;
using Tributary.Tests.Edge.Uplink;

namespace Tributary.Tests.Edge.Offline;

// What was published and what is known of it, and what of that must be in the cloud.
internal sealed partial class OfflineSimulation
{
    private const int Devices = 4;

    /// <summary>What a clock that was trusted may be wrong beside what is told: rounding.</summary>
    private const long RoundingMs = 5;

    private readonly Dictionary<long, Message> _messages = [];
    private readonly List<Message> _undecided = [];
    private readonly Dictionary<string, SortedDictionary<long, long>> _stored = [];
    private readonly Dictionary<string, long> _scanned = [];
    private DateTimeOffset? _refusedSince;
    private long _lastId;

    public int Refused { get; private set; }

    public int Missing { get; private set; }

    public int Delivered { get; private set; }

    public int Corrected { get; private set; }

    public int Estimated { get; private set; }

    public int Untrusted { get; private set; }

    /// <summary>The mean of the bounds of estimates, hours.</summary>
    public double BoundHours { get; private set; }

    private void Publish()
    {
        bool isTelemetry = _random.Next(2) == 0;
        string device = $"d{_random.Next(Devices)}";
        long id = ++_lastId;
        string payload = string.Create(CultureInfo.InvariantCulture, $"{id} {new string('x', 200 + _random.Next(1200))}");
        IngestTicket ticket = _agent!.Publish(isTelemetry ? $"devices/{device}/level" : "other", device, payload);
        string topic = isTelemetry ? RouteTable.TelemetryTopic : RouteTable.UnroutedTopic;
        double errorMs = _agent.Clock.Report.ErrorSeconds * 1000;
        var message = new Message(id, topic, device, _device.TrueMs, (long)Math.Ceiling(errorMs), ticket);
        if (ticket.Refusal != IngestRefusal.None)
        {
            Refused++;
            NoteRefusal(topic);
            return;
        }
        _refusedSince = topic == Dropping ? null : _refusedSince;
        _messages.Add(id, message);
        _undecided.Add(message);
    }

    /// <summary>A topic that drops the oldest refuses messages for moments only, until its space was looked at again.</summary>
    private void NoteRefusal(string topic)
    {
        if (topic == Dropping)
        {
            _refusedSince ??= _device.True;
            if (_device.True - _refusedSince > TimeSpan.FromHours(2))
            {
                _fault ??= $"{topic}, which drops the oldest, refuses messages since {_refusedSince}: {string.Join(' ', _agent!.Buffer.Space.FullTopics)}";
            }
        }
    }

    /// <summary>After a flush: what is acknowledged, and where it stands.</summary>
    private void Learned()
    {
        foreach (Message message in _undecided)
        {
            message.IsAcknowledged |= message.Ticket.Stream!.Committed > message.Ticket.Number;
        }
        _undecided.RemoveAll(static message => message.IsAcknowledged);
        foreach (BufferPartition partition in _agent!.Buffer.Partitions.Where(partition => partition.Topic != EventsTopic))
        {
            ReadNew(partition);
        }
    }

    private void ReadNew(BufferPartition partition)
    {
        SortedDictionary<long, long> stored = _stored.TryGetValue(partition.Topic, out SortedDictionary<long, long>? known)
            ? known : _stored[partition.Topic] = [];
        foreach ((long offset, long id) in OfflineAgent.Records(partition, _scanned.GetValueOrDefault(partition.Topic)))
        {
            stored[offset] = id;
            _messages[id].Offset = offset;
        }
        _scanned[partition.Topic] = partition.Log.FlushedEnd;
    }

    /// <summary>Nobody heard of what was not acknowledged when the process ended: it may be there or not.</summary>
    private void Forget() => _undecided.Clear();

    /// <summary>After a start: what the disk has, which may be more than was acknowledged.</summary>
    private void Resume()
    {
        foreach (BufferPartition partition in _agent!.Buffer.Partitions.Where(partition => partition.Topic != EventsTopic))
        {
            if (partition.Log.FlushedEnd < _scanned.GetValueOrDefault(partition.Topic))
            {
                _fault ??= $"{partition.Topic} ended at {_scanned[partition.Topic]} and ends at {partition.Log.FlushedEnd}";
            }
            ReadNew(partition);
        }
    }

    private string? Check()
    {
        string? fault = CheckTopic(RouteTable.TelemetryTopic) ?? CheckTopic(RouteTable.UnroutedTopic);
        BoundHours = Estimated == 0 ? 0 : BoundHours / Estimated;
        return fault;
    }

    private string? CheckTopic(string topic)
    {
        var seen = new HashSet<long>();
        var last = new Dictionary<string, long>();
        foreach (CloudRecord record in _cloud.Of(topic).Records)
        {
            if (!_messages.TryGetValue(record.Id, out Message? message) || message.Topic != topic)
            {
                return $"message {record.Id} is in {topic} and was not taken for it";
            }
            if (!seen.Add(record.Id))
            {
                return $"message {record.Id} is in {topic} twice";
            }
            if (last.GetValueOrDefault(message.Device) > record.Id)
            {
                return $"message {record.Id} of {message.Device} comes after {last[message.Device]}";
            }
            last[message.Device] = record.Id;
            if (CheckTime(record, message) is { } wrong)
            {
                return wrong;
            }
            Delivered++;
        }
        return CheckGaps(topic, seen) ?? CheckAcknowledged(topic);
    }

    /// <summary>What is missing is what events say: within their offsets, and as many.</summary>
    private string? CheckGaps(string topic, HashSet<long> seen)
    {
        IReadOnlyCollection<(long From, long To, long Records)> reported = _cloud.ReportedGaps(EventsTopic, topic);
        long[] missing = [.. (_stored.GetValueOrDefault(topic) ?? []).Where(stored => !seen.Contains(stored.Value)).Select(stored => stored.Key)];
        if (topic == Refusing && missing.Length > 0)
        {
            return $"{topic} refuses messages, and {missing.Length} that it took are missing";
        }
        foreach (long offset in missing)
        {
            if (!reported.Any(gap => gap.From <= offset && offset < gap.To))
            {
                return $"the message at offset {offset} of {topic} is missing, and no event says so";
            }
        }
        Missing += missing.Length;
        long told = reported.Sum(gap => gap.Records);
        return told == missing.Length ? null : $"{missing.Length} messages of {topic} are missing, and events tell of {told}: {string.Join(' ', reported)}";
    }

    private string? CheckAcknowledged(string topic)
    {
        return _messages.Values.FirstOrDefault(message => message.Topic == topic && message.IsAcknowledged && message.Offset < 0) is { } lost
            ? $"message {lost.Id} was acknowledged and never stored" : null;
    }

    private string? CheckTime(CloudRecord record, Message message)
    {
        (string? mark, long? told) = OfflineTopic.TimeOf(record);
        Corrected += mark == "corrected" ? 1 : 0;
        Estimated += mark == "estimated" ? 1 : 0;
        Untrusted += mark == "untrusted" ? 1 : 0;
        BoundHours += mark == "estimated" ? told!.Value / 3_600_000.0 : 0;
        if (mark == "untrusted")
        {
            return $"message {record.Id} was sent without its time, which was known soon";
        }
        long bound = (told ?? message.ErrorMs) + RoundingMs;
        long off = record.Timestamp - message.TrueMs;
        return Math.Abs(off) <= bound ? null
            : $"message {record.Id} of {DateTimeOffset.FromUnixTimeMilliseconds(message.TrueMs):MM-dd HH:mm:ss} has a time ({mark}) that is {off} ms off; the bound is {bound} ms";
    }

    /// <summary>A message that was taken.</summary>
    private sealed class Message(long id, string topic, string device, long trueMs, long errorMs, IngestTicket ticket)
    {
        public long Id => id;

        public string Topic => topic;

        public string Device => device;

        /// <summary>When it was published, in truth.</summary>
        public long TrueMs => trueMs;

        /// <summary>How wrong the agent said that its time may be.</summary>
        public long ErrorMs => errorMs;

        public IngestTicket Ticket => ticket;

        public bool IsAcknowledged { get; set; }

        /// <summary>Its offset in the local log, −1 as long as it is not known.</summary>
        public long Offset { get; set; } = -1;
    }
}
