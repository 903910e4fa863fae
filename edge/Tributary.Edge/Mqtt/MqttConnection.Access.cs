using System.Security.Cryptography;
using System.Text;
using Tributary.Edge.Access;
using Tributary.Edge.Mqtt.Protocol;

namespace Tributary.Edge.Mqtt;

/// <summary>Who the client is and what it may do. All of it on the reading side, but for <see cref="AccessChanged"/>.</summary>
internal sealed partial class MqttConnection
{
    private const int MaxTopicInLog = 128;
    private volatile ClientRights? _rights;
    private volatile bool _accessChanged;

    /// <summary>Whether something may wait for the client that came when it had other rights.</summary>
    private volatile bool _mayHoldForbidden;

    /// <summary>The client's rights as the sending side asks for them.</summary>
    private ClientRights? _sendRights;

    /// <summary>The client's user; null for an anonymous one, and before it is let in.</summary>
    public string? User => _rights?.User;

    /// <summary>
    /// What clients may do has changed: one whose user is gone has to go, the others lose subscriptions that they may not have any more.
    /// Called from any thread.
    /// </summary>
    public void AccessChanged()
    {
        if (_rights is not { } rights)
        {
            return; // it will see to it when it is let in
        }
        if (rights.IsRevoked)
        {
            CloseRevoked();
            return;
        }
        _accessChanged = true;
        _mayHoldForbidden = true;
        // In a thread of its own, as at the end.
        ThreadPool.UnsafeQueueUserWorkItem(static connection => connection._connection.Transport.Input.CancelPendingRead(), this, preferLocal: false);
    }

    /// <summary>Finds out who the client is and whether it may come in, with its will.</summary>
    /// <returns>False if it may not; its connection is being closed then.</returns>
    private async ValueTask<bool> AdmitAsync(ConnectPacket connect, string clientId)
    {
        ClientOrigin? origin = _connection.Features.Get<ClientOrigin>();
        var identity = new ClientIdentity(
            clientId, connect.UserName, connect.Password, origin?.CertificateUser, _connection.RemoteEndPoint, origin?.MayBeAnonymous ?? false);
        using var gone = CancellationTokenSource.CreateLinkedTokenSource(_closing.Token, _connection.ConnectionClosed);
        Admission admission;
        try
        {
            admission = await _broker.Access.AdmitAsync(identity, gone.Token);
        }
        catch (OperationCanceledException) when (gone.IsCancellationRequested)
        {
            Close(MqttCloseReason.Broken, ReasonCode.Unspecified, null);
            return false;
        }
        finally
        {
            CryptographicOperations.ZeroMemory(connect.Password);
            _connect = connect with { UserName = null, Password = null, Will = null }; // for as long as the connection lives
        }
        if (admission.Rights is not { } rights)
        {
            CloseRefused(admission.Refusal, identity);
            return false;
        }
        _rights = rights;
        if (rights.IsRevoked)
        {
            CloseRevoked(); // meanwhile
            return false;
        }
        if (connect.Will is { } will && !rights.MayPublish(will.Topic))
        {
            Close(
                MqttCloseReason.NotAuthorized, ReasonCode.NotAuthorized,
                $"the will's topic '{Shown(will.Topic)}' is not allowed to {NameOf(rights)}");
            return false;
        }
        return _close is null;
    }

    private void CloseRefused(AccessRefusal refusal, in ClientIdentity identity)
    {
        string who = identity.UserName is { } name ? $"user '{Shown(name)}', client '{identity.ClientId}'" : $"client '{identity.ClientId}'";
        (MqttCloseReason reason, ReasonCode code, string text) = refusal switch
        {
            AccessRefusal.BadCredentials =>
                (MqttCloseReason.BadCredentials, ReasonCode.BadUserNameOrPassword, $"{who}: the user name or the password is wrong"),
            AccessRefusal.Busy => (MqttCloseReason.AccessBusy, ReasonCode.ServerBusy, $"{who}: too many passwords wait to be checked"),
            AccessRefusal.BackOff => (
                MqttCloseReason.BackOff, ReasonCode.ConnectionRateExceeded,
                $"{who}: too many wrong passwords; the next try has to wait for up to {LoginBackOff.LongestWait.TotalSeconds:0} s"),
            _ when identity.CertificateUser is { } owner && identity.UserName is null =>
                (MqttCloseReason.NotAuthorized, ReasonCode.NotAuthorized, $"{who}: the certificate's user '{Shown(owner)}' is not in the users file"),
            _ => (
                MqttCloseReason.NotAuthorized, ReasonCode.NotAuthorized, $"{who}: a client has to have a user name and a password, or a certificate"),
        };
        Close(reason, code, text);
    }

    private void CloseRevoked() =>
        Close(MqttCloseReason.NotAuthorized, ReasonCode.NotAuthorized, "the user was removed or has another password now");

    private bool MayPublish(in PublishPacket packet)
    {
        if (_rights!.MayPublish(packet.Topic))
        {
            return true;
        }
        _broker.Metrics.PublishDenied();
        LogDenied(AccessDenial.Publish, packet.Topic);
        return false;
    }

    private bool MaySubscribe(ReadOnlySpan<byte> filter)
    {
        if (_rights!.MaySubscribe(filter))
        {
            return true;
        }
        _broker.Metrics.SubscriptionDenied();
        LogDenied(AccessDenial.Subscribe, filter);
        return false;
    }

    /// <summary>
    /// Whether the client may have a message that waited for it: by what it may subscribe to now, not when the message came. On the sending
    /// side.
    /// </summary>
    private bool MayReceive(LocalMessage message)
    {
        if (!_mayHoldForbidden)
        {
            return true;
        }
        _sendRights ??= _broker.Access.RightsOf(User, _clientId!);
        if (_sendRights.MaySubscribe(message.Topic))
        {
            return true;
        }
        LogDenied(AccessDenial.Receive, message.Topic);
        return false;
    }

    /// <summary>After a change: takes away what the client may not have any more.</summary>
    private void ApplyAccess()
    {
        _accessChanged = false;
        if (_session is not { } session || _rights is not { } rights)
        {
            return;
        }
        foreach (Subscription subscription in session.Subscriptions.Where(held => !rights.MaySubscribe(held.Filter)).ToArray())
        {
            _broker.Sessions.Revoke(session, subscription);
            _broker.Metrics.SubscriptionDenied();
            LogDenied(AccessDenial.Subscribe, subscription.Key);
        }
        if (_will is { } will && !rights.MayPublish(will.Topic))
        {
            _will = null;
            _broker.Metrics.PublishDenied();
            LogDenied(AccessDenial.Publish, will.Topic);
        }
    }

    private void LogDenied(AccessDenial denial, ReadOnlySpan<byte> topic)
    {
        if (_broker.DenialLines.TryPass(denial, out string note))
        {
            _broker.Logger.MqttDenied(denial, Shown(topic), NameOf(_rights!), _session?.ClientId ?? "", note);
        }
    }

    private static string NameOf(ClientRights rights) => rights.User is { } user ? $"user '{user}'" : "anonymous clients";

    private static string Shown(ReadOnlySpan<byte> topic) =>
        Shown(Encoding.UTF8.GetString(topic.Length > MaxTopicInLog ? topic[..MaxTopicInLog] : topic));

    private static string Shown(string text) =>
        string.Create(Math.Min(text.Length, MaxTopicInLog), text, (shown, from) =>
        {
            for (int i = 0; i < shown.Length; i++)
            {
                shown[i] = char.IsControl(from[i]) ? '?' : from[i];
            }
        });
}

/// <summary>What a client was not allowed.</summary>
internal enum AccessDenial
{
    Publish,
    Subscribe,

    /// <summary>To get a message that waited for it.</summary>
    Receive,
}
