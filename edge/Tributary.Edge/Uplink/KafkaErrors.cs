using System.Collections.Frozen;
using Tributary.Contracts.Kafka;

namespace Tributary.Edge.Uplink;

/// <summary>What the answer to a batch means for its records.</summary>
internal enum ProduceReaction
{
    /// <summary>They are in the cloud.</summary>
    Done,

    /// <summary>They may be in the cloud or not: when all other answers are there, and after a wait, the leaders are asked.</summary>
    AskAgain,

    /// <summary>
    /// As <see cref="AskAgain"/> for the first times, since it may be the way there that damages batches; then as <see cref="Refuse"/>.
    /// </summary>
    RefuseLater,

    /// <summary>One of them will never be taken: it is looked for by halves, goes to the dead letters, and the others are sent on.</summary>
    Refuse,
}

/// <summary>
/// Kafka's errors by what the uplink makes of them; UPLINK.md has them as a table. A code that is not known here is one that the leaders
/// are asked after, and that may pass.
/// </summary>
internal static class KafkaErrors
{
    /// <summary>
    /// Errors that come from how things stand there at the moment, and pass without anybody changing something: whoever gets one while
    /// authenticating tries again as after a lost link.
    /// </summary>
    private static readonly FrozenSet<ErrorCode> Passing = FrozenSet.Create(
        ErrorCode.UnknownServerError, ErrorCode.RequestTimedOut, ErrorCode.BrokerNotAvailable, ErrorCode.NetworkException,
        ErrorCode.CoordinatorLoadInProgress, ErrorCode.CoordinatorNotAvailable, ErrorCode.NotCoordinator, ErrorCode.NotController,
        ErrorCode.LeaderNotAvailable, ErrorCode.KafkaStorageError, ErrorCode.ThrottlingQuotaExceeded, ErrorCode.RebootstrapRequired);

    private static readonly FrozenDictionary<ErrorCode, string> Advice = new Dictionary<ErrorCode, string>
    {
        [ErrorCode.UnknownTopicOrPartition] = "the topic is not there, and not made by itself: create it",
        [ErrorCode.MessageTooLarge] = "the cloud's limit for batches is lower (Kafka: max.message.bytes of the topic)",
        [ErrorCode.InvalidTopicException] = "the topic's name is none that the cluster takes",
        [ErrorCode.RecordListTooLarge] = "a batch is larger than a segment there (Kafka: segment.bytes of the topic)",
        [ErrorCode.TopicAuthorizationFailed] = "the agent's user needs the rights WRITE, DESCRIBE and READ to the topic, and CREATE if it is to be made",
        [ErrorCode.ClusterAuthorizationFailed] = "the agent's user needs the right IDEMPOTENT_WRITE to the cluster (Kafka before 3.0)",
        [ErrorCode.UnsupportedVersion] = "the node has changed its version: it is asked for its versions when the connection is made anew",
        [ErrorCode.UnsupportedForMessageFormat] = "the topic has a message format of before Kafka 0.11, which knows no idempotent producers",
        [ErrorCode.PolicyViolation] = "a policy of the cluster forbids it",
        [ErrorCode.UnsupportedCompressionType] = "the topic does not take this compression: set uplink:codec",
        [ErrorCode.SecurityDisabled] = "security is switched off there",
    }.ToFrozenDictionary();

    /// <summary>Errors that are found before a batch is written: whoever gets one knows that it is not there.</summary>
    private static readonly FrozenSet<ErrorCode> BeforeWriting = FrozenSet.Create(
        ErrorCode.CorruptMessage, ErrorCode.MessageTooLarge, ErrorCode.RecordListTooLarge, ErrorCode.InvalidRecord, ErrorCode.InvalidTimestamp,
        ErrorCode.InvalidTopicException, ErrorCode.NotEnoughReplicas, ErrorCode.TopicAuthorizationFailed, ErrorCode.ClusterAuthorizationFailed,
        ErrorCode.InvalidRequiredAcks, ErrorCode.PolicyViolation, ErrorCode.UnsupportedVersion, ErrorCode.UnsupportedForMessageFormat,
        ErrorCode.UnsupportedCompressionType, ErrorCode.SecurityDisabled);

    /// <summary>Whether a batch may be in the cloud though it was answered with this error.</summary>
    public static bool MayBeThere(ErrorCode error) => error != ErrorCode.None && !BeforeWriting.Contains(error);

    /// <summary>What to do about the answer to a batch.</summary>
    public static ProduceReaction ToProduce(ErrorCode error) => error switch
    {
        ErrorCode.None => ProduceReaction.Done,
        ErrorCode.CorruptMessage => ProduceReaction.RefuseLater,
        ErrorCode.MessageTooLarge or ErrorCode.RecordListTooLarge or ErrorCode.InvalidRecord or ErrorCode.InvalidTimestamp => ProduceReaction.Refuse,
        _ => ProduceReaction.AskAgain,
    };

    /// <summary>Whether trying again may do good though nobody changes anything. Codes that are not known may.</summary>
    public static bool Passes(ErrorCode error) => Passing.Contains(error) || !Enum.IsDefined(error);

    /// <summary>The error's name, or its number if it has none here, with what to do about it if that is known.</summary>
    public static string Describe(ErrorCode error)
    {
        string name = Enum.IsDefined(error) ? error.ToString() : $"the unknown error {(short)error}";
        return Advice.TryGetValue(error, out string? advice) ? $"{name} ({advice})" : name;
    }
}
