using Tributary.Edge.Ingest;

namespace Tributary.Edge.Access;

/// <summary>
/// What one connected client may do now. Changes of the users file hold at once: each question looks whether there was one.
/// <para>Threads: the connection's reading side asks; <see cref="IsRevoked"/> from any thread.</para>
/// </summary>
internal sealed class ClientRights
{
    /// <summary>The rights of a client where nobody is asked.</summary>
    public static readonly ClientRights All = new(null, null, "", null);

    private readonly IUserList? _access;
    private readonly PasswordHash? _password;
    private readonly string _clientId;
    private readonly TopicVerdicts _verdicts = new();
    private Users? _users;
    private byte[][] _publish = [];
    private byte[][] _subscribe = [];

    /// <param name="access">Where changes come from; null: everything is allowed for good.</param>
    /// <param name="user">The user's name, null for an anonymous client.</param>
    /// <param name="clientId">The client identifier.</param>
    /// <param name="password">The password that the client was let in by, null if it was not by one.</param>
    public ClientRights(IUserList? access, string? user, string clientId, PasswordHash? password)
    {
        _access = access;
        User = user;
        _clientId = clientId;
        _password = password;
    }

    /// <summary>The user's name, null for an anonymous client.</summary>
    public string? User { get; }

    /// <summary>Whether the client must go: the user was removed, or has another password than the one that let the client in.</summary>
    public bool IsRevoked
    {
        get
        {
            if (_access is null)
            {
                return false;
            }
            Users users = _access.Users;
            if (User is null)
            {
                return users.Anonymous is null;
            }
            return users.Find(User) is not { } user || (_password is not null && user.Password?.ToString() != _password.ToString());
        }
    }

    /// <summary>Whether the client may publish to a topic.</summary>
    /// <param name="topic">A valid topic name.</param>
    public bool MayPublish(ReadOnlySpan<byte> topic)
    {
        if (_access is null)
        {
            return true;
        }
        Refresh(_access);
        if (!_verdicts.TryGet(topic, out bool allowed))
        {
            allowed = TopicCover.Matches(_publish, topic);
            _verdicts.Add(topic, allowed);
        }
        return allowed;
    }

    /// <summary>Whether the client may subscribe to a filter: only if it may to every topic that the filter matches.</summary>
    /// <param name="filter">A valid filter; of a shared subscription with or without its name.</param>
    public bool MaySubscribe(ReadOnlySpan<byte> filter)
    {
        if (_access is null)
        {
            return true;
        }
        Refresh(_access);
        return Unshared(filter) is { IsEmpty: false } plain && TopicCover.Contains(_subscribe, plain);
    }

    private static ReadOnlySpan<byte> Unshared(ReadOnlySpan<byte> filter)
    {
        if (!filter.StartsWith("$share/"u8))
        {
            return filter;
        }
        filter = filter["$share/"u8.Length..];
        int end = filter.IndexOf((byte)'/');
        return end < 0 ? default : filter[(end + 1)..];
    }

    private void Refresh(IUserList access)
    {
        Users users = access.Users;
        if (ReferenceEquals(users, _users))
        {
            return;
        }
        _users = users;
        _verdicts.Clear();
        Permissions? permissions = User is null ? users.Anonymous : users.Find(User)?.Permissions;
        _publish = Filters(permissions?.Publish);
        _subscribe = Filters(permissions?.Subscribe);
    }

    private byte[][] Filters(IReadOnlyList<TopicGrant>? patterns) =>
        patterns is null ? [] : [.. patterns.Select(pattern => pattern.For(User, _clientId)).OfType<byte[]>()];
}

/// <summary>
/// What was found of topics, within <see cref="MaxTopics"/> and <see cref="MaxBytes"/>; when it is full it stays as it is, so that a
/// client of many topics costs comparisons and no memory. One thread at a time.
/// </summary>
internal sealed class TopicVerdicts
{
    /// <summary>Most topics.</summary>
    public const int MaxTopics = 64;

    /// <summary>Most bytes of topics.</summary>
    public const int MaxBytes = 4 << 10;

    private Dictionary<byte[], bool>? _verdicts;
    private int _bytes;

    public bool TryGet(ReadOnlySpan<byte> topic, out bool allowed)
    {
        allowed = false;
        return _verdicts is not null && _verdicts.GetAlternateLookup<ReadOnlySpan<byte>>().TryGetValue(topic, out allowed);
    }

    public void Add(ReadOnlySpan<byte> topic, bool allowed)
    {
        _verdicts ??= new Dictionary<byte[], bool>(TopicComparer.Instance);
        if (_verdicts.Count < MaxTopics && _bytes + topic.Length <= MaxBytes)
        {
            _verdicts.Add(topic.ToArray(), allowed);
            _bytes += topic.Length;
        }
    }

    public void Clear() => (_verdicts, _bytes) = (null, 0);
}
