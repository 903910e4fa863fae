namespace Tributary.FirmwareSim;

/// <summary>What people should know while a simulator runs. Called from its loop.</summary>
internal interface ISimulatorReport
{
    /// <summary>A device connected.</summary>
    void OnConnected();

    /// <summary>A device lost its connection or could not make one.</summary>
    void OnLost(string device, bool wasConnected, string? why);
}

/// <summary>
/// READY on standard output with the first connection; on standard error when all devices are connected, and the first trouble after
/// that: not thousands of lines when a broker goes away.
/// </summary>
/// <param name="options">The run.</param>
/// <param name="output">Standard output.</param>
/// <param name="error">Standard error.</param>
internal sealed class ConsoleReport(SimulatorOptions options, TextWriter output, TextWriter error) : ISimulatorReport
{
    private int _connected;
    private bool _isReady;
    private bool _isInTrouble;

    /// <inheritdoc/>
    public void OnConnected()
    {
        if (!_isReady)
        {
            _isReady = true;
            output.WriteLine($"READY devices={options.Devices} mqtt={options.Host}:{options.Port}");
            output.Flush();
        }
        if (++_connected == options.Devices)
        {
            error.WriteLine($"all {options.Devices} devices are connected to {options.Host}:{options.Port}");
            _isInTrouble = false;
        }
    }

    /// <inheritdoc/>
    public void OnLost(string device, bool wasConnected, string? why)
    {
        _connected -= wasConnected ? 1 : 0;
        if (!_isInTrouble)
        {
            error.WriteLine($"{device} has no connection to {options.Host}:{options.Port}: {why}; devices try again by themselves");
        }
        _isInTrouble = true;
    }
}
