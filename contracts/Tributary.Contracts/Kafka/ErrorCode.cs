namespace Tributary.Contracts.Kafka;

/// <summary>Error codes of the Kafka protocol, as of Kafka 4.x; others may come from later brokers. Source: Kafka's protocol guide, "Error codes".</summary>
public enum ErrorCode : short
{
    /// <summary>Not expected; the server has logged it.</summary>
    UnknownServerError = -1,

    /// <summary>No error.</summary>
    None = 0,

    /// <summary>The offset is outside of the log.</summary>
    OffsetOutOfRange = 1,

    /// <summary>A record or batch fails its CRC or is malformed.</summary>
    CorruptMessage = 2,

    /// <summary>No such topic or partition here. Retriable.</summary>
    UnknownTopicOrPartition = 3,

    /// <summary>A fetch size is negative.</summary>
    InvalidFetchSize = 4,

    /// <summary>No leader at this moment. Retriable.</summary>
    LeaderNotAvailable = 5,

    /// <summary>Another broker leads the partition. Retriable after a metadata request.</summary>
    NotLeaderOrFollower = 6,

    /// <summary>Not done in time; it may still happen. Retriable.</summary>
    RequestTimedOut = 7,

    /// <summary>The broker is not available.</summary>
    BrokerNotAvailable = 8,

    /// <summary>No replica has it.</summary>
    ReplicaNotAvailable = 9,

    /// <summary>The batch exceeds <c>max.message.bytes</c>.</summary>
    MessageTooLarge = 10,

    /// <summary>Offset metadata is too large.</summary>
    OffsetMetadataTooLarge = 12,

    /// <summary>The broker went away before it answered. Retriable.</summary>
    NetworkException = 13,

    /// <summary>What decides is not ready yet. Retriable; also answered to InitProducerId when no producer id can be had.</summary>
    CoordinatorLoadInProgress = 14,

    /// <summary>Nobody coordinates the group or transactional id at this moment. Retriable.</summary>
    CoordinatorNotAvailable = 15,

    /// <summary>Another broker coordinates it, or this one does again in a moment. Retriable.</summary>
    NotCoordinator = 16,

    /// <summary>Invalid topic name, or an internal topic.</summary>
    InvalidTopicException = 17,

    /// <summary>The batches exceed the segment size.</summary>
    RecordListTooLarge = 18,

    /// <summary>Fewer in-sync replicas than required. Retriable.</summary>
    NotEnoughReplicas = 19,

    /// <summary>Written, but then fewer in-sync replicas than required. Retriable.</summary>
    NotEnoughReplicasAfterAppend = 20,

    /// <summary>Acks is not −1, 0 or 1.</summary>
    InvalidRequiredAcks = 21,

    /// <summary>The group is in another generation than the member.</summary>
    IllegalGeneration = 22,

    /// <summary>The member has no protocol in common with the group.</summary>
    InconsistentGroupProtocol = 23,

    /// <summary>The group id is empty or too long.</summary>
    InvalidGroupId = 24,

    /// <summary>The group has no such member.</summary>
    UnknownMemberId = 25,

    /// <summary>The session timeout is out of the allowed range.</summary>
    InvalidSessionTimeout = 26,

    /// <summary>The group makes its next generation: join it.</summary>
    RebalanceInProgress = 27,

    /// <summary>The group's offsets would take more room than they may.</summary>
    InvalidCommitOffsetSize = 28,

    /// <summary>The timestamp is out of the acceptable range.</summary>
    InvalidTimestamp = 32,

    /// <summary>This version of the request is not served.</summary>
    UnsupportedVersion = 35,

    /// <summary>A topic of this name exists.</summary>
    TopicAlreadyExists = 36,

    /// <summary>The number of partitions is invalid.</summary>
    InvalidPartitions = 37,

    /// <summary>The replication factor is below 1 or above the number of brokers.</summary>
    InvalidReplicationFactor = 38,

    /// <summary>The replica assignment is invalid.</summary>
    InvalidReplicaAssignment = 39,

    /// <summary>A config is invalid.</summary>
    InvalidConfig = 40,

    /// <summary>Not the controller. Retriable.</summary>
    NotController = 41,

    /// <summary>The request makes no sense.</summary>
    InvalidRequest = 42,

    /// <summary>The message format does not support the operation.</summary>
    UnsupportedForMessageFormat = 43,

    /// <summary>A policy forbids it.</summary>
    PolicyViolation = 44,

    /// <summary>The sequence is not the next one of its producer.</summary>
    OutOfOrderSequenceNumber = 45,

    /// <summary>The batch was written before, too long ago to say where.</summary>
    DuplicateSequenceNumber = 46,

    /// <summary>A newer epoch of the producer has written.</summary>
    InvalidProducerEpoch = 47,

    /// <summary>The transaction is not in a state that allows it, or the partition does not belong to it.</summary>
    InvalidTxnState = 48,

    /// <summary>The producer id is not the one of the transactional id.</summary>
    InvalidProducerIdMapping = 49,

    /// <summary>The transaction timeout is larger than the broker allows.</summary>
    InvalidTransactionTimeout = 50,

    /// <summary>The transaction before has not been completed yet. Retriable.</summary>
    ConcurrentTransactions = 51,

    /// <summary>The marker comes from a coordinator that was replaced.</summary>
    TransactionCoordinatorFenced = 52,

    /// <summary>The client may not write under the transactional id, or names none.</summary>
    TransactionalIdAuthorizationFailed = 53,

    /// <summary>Nothing was done, because something else in the request failed.</summary>
    OperationNotAttempted = 55,

    /// <summary>Storage failed while the request was served. Retriable.</summary>
    KafkaStorageError = 56,

    /// <summary>The broker knows nothing of the producer id.</summary>
    UnknownProducerId = 59,

    /// <summary>The group has members.</summary>
    NonEmptyGroup = 68,

    /// <summary>No such group.</summary>
    GroupIdNotFound = 69,

    /// <summary>The fetch session is not known here. Retriable.</summary>
    FetchSessionIdNotFound = 70,

    /// <summary>The fetch session epoch is not the next one. Retriable.</summary>
    InvalidFetchSessionEpoch = 71,

    /// <summary>The client's leader epoch is older than the broker's. Retriable.</summary>
    FencedLeaderEpoch = 74,

    /// <summary>The client's leader epoch is newer than the broker's. Retriable.</summary>
    UnknownLeaderEpoch = 75,

    /// <summary>The codec is not supported by this version of the request.</summary>
    UnsupportedCompressionType = 76,

    /// <summary>The leader does not know the high watermark yet. Retriable.</summary>
    OffsetNotAvailable = 78,

    /// <summary>Join again with the member id of the answer (KIP-394).</summary>
    MemberIdRequired = 79,

    /// <summary>The group has as many members as it may.</summary>
    GroupMaxSizeReached = 81,

    /// <summary>Another member has taken the static member's place (KIP-345).</summary>
    FencedInstanceId = 82,

    /// <summary>The group's members read the topic.</summary>
    GroupSubscribedToTopic = 86,

    /// <summary>The preferred leader isn't there.</summary>
    PreferredLeaderNotAvailable = 80,

    /// <summary>The preferred leader leads already, or no leader is missing.</summary>
    ElectionNotNeeded = 84,

    /// <summary>The partition does not move.</summary>
    NoReassignmentInProgress = 85,

    /// <summary>A record is invalid; per-record errors say which.</summary>
    InvalidRecord = 87,

    /// <summary>Topic deletion is off.</summary>
    TopicDeletionDisabled = 73,

    /// <summary>Offsets of an open transaction are pending. Retriable.</summary>
    UnstableOffsetCommit = 88,

    /// <summary>A newer producer with the same transactional id exists.</summary>
    ProducerFenced = 90,

    /// <summary>The member's epoch is not the group's: it must give everything up and join again (KIP-848).</summary>
    FencedMemberEpoch = 110,

    /// <summary>Another member has the static member's name and has not left (KIP-848).</summary>
    UnreleasedInstanceId = 111,

    /// <summary>The server has no such assignor (KIP-848).</summary>
    UnsupportedAssignor = 112,

    /// <summary>The member's epoch is out of date: heartbeat and try again (KIP-848).</summary>
    StaleMemberEpoch = 113,

    /// <summary>The regular expression is not one of RE2's (KIP-848).</summary>
    InvalidRegularExpression = 128,

    /// <summary>The kind of endpoint that is asked for is another one than this.</summary>
    MismatchedEndpointType = 114,

    /// <summary>No broker is reached at the kind of endpoint that is asked for.</summary>
    UnsupportedEndpointType = 115,

    /// <summary>No such topic id. Retriable.</summary>
    UnknownTopicId = 100,

    /// <summary>The topic id is not the one of the fetch session. Retriable.</summary>
    InconsistentTopicId = 103,

    /// <summary>The transactional id has no state here.</summary>
    TransactionalIdNotFound = 105,

    /// <summary>The fetch session names topics by id and the request by name, or the other way round. Retriable.</summary>
    FetchSessionTopicIdError = 106,

    /// <summary>The controller has moved. Between brokers only.</summary>
    StaleControllerEpoch = 11,

    /// <summary>The client may not do this with the topic.</summary>
    TopicAuthorizationFailed = 29,

    /// <summary>The client may not do this with the group.</summary>
    GroupAuthorizationFailed = 30,

    /// <summary>The client may not do this in the cluster.</summary>
    ClusterAuthorizationFailed = 31,

    /// <summary>The broker does not know the SASL mechanism.</summary>
    UnsupportedSaslMechanism = 33,

    /// <summary>The request does not fit how far the authentication has come.</summary>
    IllegalSaslState = 34,

    /// <summary>The cluster has no such security feature in use.</summary>
    SecurityDisabled = 54,

    /// <summary>No such log directory.</summary>
    LogDirNotFound = 57,

    /// <summary>The broker does not accept the credentials.</summary>
    SaslAuthenticationFailed = 58,

    /// <summary>The partition is being reassigned.</summary>
    ReassignmentInProgress = 60,

    /// <summary>The cluster has no delegation tokens in use.</summary>
    DelegationTokenAuthDisabled = 61,

    /// <summary>No such delegation token.</summary>
    DelegationTokenNotFound = 62,

    /// <summary>The delegation token is somebody else's.</summary>
    DelegationTokenOwnerMismatch = 63,

    /// <summary>Delegation tokens can't be asked for on this connection.</summary>
    DelegationTokenRequestNotAllowed = 64,

    /// <summary>The client may not do this with the delegation token.</summary>
    DelegationTokenAuthorizationFailed = 65,

    /// <summary>The delegation token has expired.</summary>
    DelegationTokenExpired = 66,

    /// <summary>No such type of principal.</summary>
    InvalidPrincipalType = 67,

    /// <summary>The leader has no listener of the name that the request came in by. Retriable.</summary>
    ListenerNotFound = 72,

    /// <summary>The broker's epoch is out of date. Between brokers only.</summary>
    StaleBrokerEpoch = 77,

    /// <summary>No replica could become leader.</summary>
    EligibleLeadersNotAvailable = 83,

    /// <summary>The client's quota is used up. Retriable.</summary>
    ThrottlingQuotaExceeded = 89,

    /// <summary>No such resource.</summary>
    ResourceNotFound = 91,

    /// <summary>The resource is there already.</summary>
    DuplicateResource = 92,

    /// <summary>The credential does not meet the rules.</summary>
    UnacceptableCredential = 93,

    /// <summary>The voter is not among those expected. Between controllers only.</summary>
    InconsistentVoterSet = 94,

    /// <summary>The version of an update is out of date.</summary>
    InvalidUpdateVersion = 95,

    /// <summary>A feature could not be changed.</summary>
    FeatureUpdateFailed = 96,

    /// <summary>A forwarded principal could not be read. Between brokers only.</summary>
    PrincipalDeserializationFailure = 97,

    /// <summary>No such snapshot. Between controllers only.</summary>
    SnapshotNotFound = 98,

    /// <summary>The position is outside of the snapshot. Between controllers only.</summary>
    PositionOutOfRange = 99,

    /// <summary>The broker id is in use. Between brokers only.</summary>
    DuplicateBrokerRegistration = 101,

    /// <summary>The broker id is not registered.</summary>
    BrokerIdNotRegistered = 102,

    /// <summary>The cluster id is another one.</summary>
    InconsistentClusterId = 104,

    /// <summary>A new in-sync set has a replica that can't be in it. Between brokers only.</summary>
    IneligibleReplica = 107,

    /// <summary>The leader has changed with the in-sync set. Between brokers only.</summary>
    NewLeaderElected = 108,

    /// <summary>The offset is in tiered storage. Between brokers only.</summary>
    OffsetMovedToTieredStorage = 109,

    /// <summary>The controller is not registered.</summary>
    UnknownControllerId = 116,

    /// <summary>The client metrics subscription is not the one in force.</summary>
    UnknownSubscriptionId = 117,

    /// <summary>The client metrics are too large.</summary>
    TelemetryTooLarge = 118,

    /// <summary>The registration is invalid. Between controllers only.</summary>
    InvalidRegistration = 119,

    /// <summary>The transaction failed and can be aborted.</summary>
    TransactionAbortable = 120,

    /// <summary>The record is not one that can be acknowledged now (share groups).</summary>
    InvalidRecordState = 121,

    /// <summary>No such share session.</summary>
    ShareSessionNotFound = 122,

    /// <summary>The epoch of the share session is not the next one.</summary>
    InvalidShareSessionEpoch = 123,

    /// <summary>The epoch of the share group's state is out of date.</summary>
    FencedStateEpoch = 124,

    /// <summary>The voter's key is another one. Between controllers only.</summary>
    InvalidVoterKey = 125,

    /// <summary>The voter is there already. Between controllers only.</summary>
    DuplicateVoter = 126,

    /// <summary>No such voter. Between controllers only.</summary>
    VoterNotFound = 127,

    /// <summary>What the client knows of the cluster is stale: it is to begin again at its configured address (KIP-1102).</summary>
    RebootstrapRequired = 129,

    /// <summary>The topology is invalid.</summary>
    StreamsInvalidTopology = 130,

    /// <summary>The epoch of the topology is invalid.</summary>
    StreamsInvalidTopologyEpoch = 131,

    /// <summary>The epoch of the topology is out of date.</summary>
    StreamsTopologyFenced = 132,

    /// <summary>There are as many share sessions as there may be.</summary>
    ShareSessionLimitReached = 133,
}
