using System.Collections.Frozen;

namespace Tributary.Edge.Access;

/// <summary>What somebody may do.</summary>
/// <param name="Publish">Topics to publish to.</param>
/// <param name="Subscribe">Topics to subscribe to.</param>
internal sealed record Permissions(IReadOnlyList<TopicGrant> Publish, IReadOnlyList<TopicGrant> Subscribe);

/// <summary>A user.</summary>
/// <param name="Name">Name: what CONNECT has as user name, or a client certificate as its subject.</param>
/// <param name="Password">The password, null if only a certificate lets the user in.</param>
/// <param name="Permissions">What the user may do.</param>
internal sealed record User(string Name, PasswordHash? Password, Permissions Permissions);

/// <summary>Everything that a users file says. Immutable.</summary>
internal sealed class Users
{
    private readonly FrozenDictionary<string, User> _byName;

    /// <param name="all">The users, no name twice.</param>
    /// <param name="anonymous">What clients without a name may do; null if they are not let in.</param>
    public Users(IReadOnlyList<User> all, Permissions? anonymous)
    {
        All = all;
        Anonymous = anonymous;
        _byName = all.ToFrozenDictionary(user => user.Name, StringComparer.Ordinal);
        Decoy = PasswordHash.Decoy(all.Select(user => user.Password).MaxBy(password => password?.Iterations ?? 0));
    }

    /// <summary>The users, in the order of the file.</summary>
    public IReadOnlyList<User> All { get; }

    /// <summary>What clients without a name may do; null if they are not let in.</summary>
    public Permissions? Anonymous { get; }

    /// <summary>What passwords of users there are none of are checked against, so that it takes as long.</summary>
    public PasswordHash Decoy { get; }

    /// <summary>The user of that name.</summary>
    public User? Find(string name) => _byName.GetValueOrDefault(name);

    /// <summary>These users, with what is known of those whose passwords stand unchanged in <paramref name="former"/>.</summary>
    public Users Following(Users? former)
    {
        foreach (User user in All)
        {
            if (user.Password is { } password && former?.Find(user.Name)?.Password is { } before && before.ToString() == password.ToString())
            {
                password.Proof = before.Proof;
            }
        }
        return this;
    }
}

/// <summary>Where the users in force are found.</summary>
internal interface IUserList
{
    /// <summary>The users in force now: another object after each change.</summary>
    Users Users { get; }
}
