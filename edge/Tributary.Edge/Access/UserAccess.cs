using System.Text;
using Microsoft.Extensions.Logging;

namespace Tributary.Edge.Access;

/// <summary>
/// Access by a users file, which is read again when it changes. A file that can't be read or has something wrong in it changes nothing:
/// what was in force before stays, and the log says why.
/// <para>Callable from any thread; dispose of it when no client is left. It keeps nothing that a crash could lose.</para>
/// </summary>
internal sealed class UserAccess : IAccess, IUserList, IDisposable
{
    private readonly string _path;
    private readonly AccessMetrics _metrics;
    private readonly ILogger _logger;
    private readonly PasswordChecks _passwords;
    private readonly LoginBackOff _backOff;
    private readonly FileWatch _watch;
    private volatile Users _users;

    /// <param name="path">The users file.</param>
    /// <param name="pollInterval">Time between two looks whether it has changed.</param>
    /// <param name="metrics">What is counted.</param>
    /// <param name="time">All time.</param>
    /// <param name="logger">Where it logs.</param>
    /// <exception cref="UsersFileException">The file can't be read.</exception>
    public UserAccess(string path, TimeSpan pollInterval, AccessMetrics metrics, TimeProvider time, ILogger logger)
    {
        _path = path;
        _metrics = metrics;
        _logger = logger;
        // First the stamps, then the content: a change in between is seen as one.
        _watch = new FileWatch([path], pollInterval, time, logger);
        _users = UsersFile.Read(path);
        logger.UsersTaken(path, _users.All.Count);
        _passwords = new PasswordChecks(metrics);
        _backOff = new LoginBackOff(time);
        _watch.Start(Reload);
    }

    /// <inheritdoc/>
    public event Action? Changed;

    /// <inheritdoc/>
    public Users Users => _users;

    /// <inheritdoc/>
    public async ValueTask<Admission> AdmitAsync(ClientIdentity identity, CancellationToken cancellation)
    {
        Users users = _users;
        string? name = identity.UserName;
        if (identity.Password is { } password)
        {
            return await CheckPasswordAsync(users, identity, name ?? "", password, cancellation);
        }
        if (name is not null && name != identity.CertificateUser)
        {
            return Refuse(AccessRefusal.BadCredentials); // a name that nothing stands for
        }
        if (identity.CertificateUser is { } owner)
        {
            return users.Find(owner) is null ? Refuse(AccessRefusal.NotAuthorized) : new ClientRights(this, owner, identity.ClientId, null);
        }
        return identity.MayBeAnonymous && users.Anonymous is not null
            ? new ClientRights(this, null, identity.ClientId, null)
            : Refuse(AccessRefusal.NotAuthorized);
    }

    /// <inheritdoc/>
    public ClientRights RightsOf(string? user, string clientId) => new(this, user, clientId, null);

    /// <inheritdoc/>
    public void Dispose()
    {
        _watch.Dispose();
        _passwords.Dispose();
    }

    private async ValueTask<Admission> CheckPasswordAsync(
        Users users, ClientIdentity identity, string name, byte[] password, CancellationToken cancellation)
    {
        if (Encoding.UTF8.GetByteCount(name) > UsersFile.MaxNameLength * 4 || password.Length > PasswordHash.MaxPasswordBytes)
        {
            return Refuse(AccessRefusal.BadCredentials);
        }
        if (!_backOff.MayTry(identity.Remote, name))
        {
            return Refuse(AccessRefusal.BackOff);
        }
        User? user = users.Find(name);
        PasswordVerdict verdict = await _passwords.CheckAsync(
            password, user?.Password ?? users.Decoy, cancellation, () => _backOff.MayTry(identity.Remote, name), isRight =>
            {
                if (isRight && user?.Password is not null)
                {
                    _backOff.Succeeded(identity.Remote, name);
                }
                else
                {
                    _backOff.Failed(identity.Remote, name);
                }
            });
        return verdict switch
        {
            PasswordVerdict.Busy => Refuse(AccessRefusal.Busy),
            PasswordVerdict.BackOff => Refuse(AccessRefusal.BackOff),
            PasswordVerdict.Right when user?.Password is { } right => new ClientRights(this, name, identity.ClientId, right),
            _ => Refuse(AccessRefusal.BadCredentials),
        };
    }

    private AccessRefusal Refuse(AccessRefusal refusal)
    {
        _metrics.Refused(refusal);
        return refusal;
    }

    private void Reload()
    {
        try
        {
            _users = UsersFile.Read(_path).Following(_users);
        }
        catch (UsersFileException e)
        {
            _metrics.UsersReloaded(wasTaken: false);
            _logger.UsersNotTaken(e.Message);
            return;
        }
        _metrics.UsersReloaded(wasTaken: true);
        _logger.UsersTaken(_path, _users.All.Count);
        Changed?.Invoke();
    }
}
