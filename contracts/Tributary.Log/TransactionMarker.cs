namespace Tributary.Log;

/// <summary>How a producer's transaction ended, as a control batch tells it in each partition of it (KIP-98).</summary>
/// <param name="ProducerId">Whose.</param>
/// <param name="ProducerEpoch">In which epoch, or above it: then older epochs are fenced with it.</param>
/// <param name="IsCommit">Whether its records count.</param>
/// <param name="CoordinatorEpoch">The coordinator's epoch: what one that was replaced sends late is refused.</param>
public readonly record struct TransactionMarker(long ProducerId, short ProducerEpoch, bool IsCommit, int CoordinatorEpoch);
