using Tributary.Edge.Host;

namespace Tributary.Edge.Uplink.Security;

/// <summary>Reads the settings under <c>uplink:tls:</c> and <c>uplink:sasl:</c>.</summary>
internal static class SecuritySettings
{
    /// <summary>Reads and checks those of TLS.</summary>
    /// <returns>Null if it is not enabled.</returns>
    /// <exception cref="ArgumentException">One can't be; the message names it.</exception>
    public static UplinkTlsOptions? Tls(SettingValues values)
    {
        bool isEnabled = values.Flag("uplink:tls:enabled", false);
        var options = new UplinkTlsOptions
        {
            CaFile = values.Text("uplink:tls:caFile"),
            CertificateFile = values.Text("uplink:tls:certificateFile"),
            KeyFile = values.Text("uplink:tls:keyFile"),
            ServerName = values.Text("uplink:tls:serverName"),
        }.Validate();
        Settings.Check(
            isEnabled || options == new UplinkTlsOptions(), "uplink:tls:enabled", "must be true, as there are other settings that begin with uplink:tls:");
        return isEnabled ? options : null;
    }

    /// <summary>Reads and checks those of SASL.</summary>
    /// <param name="values">All settings.</param>
    /// <param name="hasTls">Whether connections have TLS.</param>
    /// <returns>Null if there is no mechanism.</returns>
    /// <exception cref="ArgumentException">One can't be; the message names it.</exception>
    public static UplinkSaslOptions? Sasl(SettingValues values, bool hasTls)
    {
        string? password = values.FromEnvironment("uplink:sasl:password", "uplink:sasl:passwordFile");
        var options = new UplinkSaslOptions
        {
            Mechanism = values.Word("uplink:sasl:mechanism", SaslMechanism.None),
            Username = values.Text("uplink:sasl:username") ?? "",
            PasswordFile = values.Text("uplink:sasl:passwordFile"),
            Password = password is null ? null : new Secret(password),
            AllowPlaintext = values.Flag("uplink:sasl:allowPlaintext", false),
        };
        if (options.Mechanism != SaslMechanism.None)
        {
            return options.Validate(hasTls);
        }
        Settings.Check(
            options is { Username.Length: 0, PasswordFile: null, Password: null }, "uplink:sasl:mechanism",
            "is missing, and there are other settings that begin with uplink:sasl:");
        return null;
    }
}
