using Tributary.Broker.Metadata;

namespace Tributary.Cloud;

/// <summary>Has groups forget what they have committed of topics that were deleted.</summary>
internal sealed class GroupTopicFollower(GrainGroupCoordinator groups) : ITopicFollower
{
    /// <inheritdoc/>
    public Task TopicDeletedAsync(string name, Guid id) => groups.ForgetTopicAsync(name, CancellationToken.None);
}
