namespace Tributary.Edge.Listeners;

/// <summary>Whether clients need a certificate.</summary>
internal enum ClientCertificates
{
    /// <summary>A client without one is not let in.</summary>
    Required,

    /// <summary>A client without one may have a user name and password.</summary>
    Optional,
}

/// <summary>What of a client's certificate is its user's name.</summary>
internal enum CertificateUser
{
    /// <summary>The common name of the subject.</summary>
    CommonName,

    /// <summary>The whole subject, such as <c>CN=pump-17, O=Example</c>.</summary>
    Subject,

    /// <summary>The first DNS name among the alternative names of the subject.</summary>
    DnsName,
}

/// <summary>Settings under <c>tls:</c>.</summary>
internal sealed record TlsOptions
{
    /// <summary>The certificate, with those between it and its root if there are any: PEM.</summary>
    public required string CertificateFile { get; init; }

    /// <summary>Its private key: PEM, not encrypted.</summary>
    public required string KeyFile { get; init; }

    /// <summary>Authorities whose certificates clients may have: PEM. Null: clients are not asked for certificates.</summary>
    public string? ClientCaFile { get; init; }

    /// <summary>Whether they need one, if there are authorities.</summary>
    public ClientCertificates ClientCertificates { get; init; }

    /// <summary>Where their user's name stands.</summary>
    public CertificateUser CertificateUser { get; init; }

    /// <summary>Time for a handshake.</summary>
    public TimeSpan HandshakeTimeout { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>Checks every setting.</summary>
    /// <exception cref="ArgumentException">One can't be; the message names it.</exception>
    public TlsOptions Validate()
    {
        Settings.Range("tls:handshakeTimeout", HandshakeTimeout, TimeSpan.FromSeconds(1), TimeSpan.FromMinutes(5));
        return this;
    }
}
