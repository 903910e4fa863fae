namespace Tributary.Broker.Metadata;

/// <summary>Who keeps something of topics beside their records, such as the offsets that groups have committed.</summary>
public interface ITopicFollower
{
    /// <summary>
    /// A topic was deleted: whatever is kept of it goes, durably. Until it has gone, no topic of the same name is created. May be called
    /// again for the same topic, after a crash.
    /// </summary>
    /// <param name="name">The topic's name.</param>
    /// <param name="id">Its id.</param>
    Task TopicDeletedAsync(string name, Guid id);
}
