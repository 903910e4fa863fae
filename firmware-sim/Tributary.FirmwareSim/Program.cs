using System.Runtime.InteropServices;
using Tributary.FirmwareSim;

return await new CommandLine(RunAsync).InvokeAsync(args, Console.Error);

static async Task<int> RunAsync(SimulatorOptions options)
{
    if (options.FindFault() is { } fault)
    {
        await Console.Error.WriteLineAsync(fault);
        return ExitCode.Usage;
    }
    using var stop = new CancellationTokenSource();
    void Stop(PosixSignalContext signal)
    {
        signal.Cancel = !stop.IsCancellationRequested; // the second one ends it at once
        stop.Cancel();
    }
    using var onTerminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, Stop);
    using var onInterrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, Stop);
    var report = new ConsoleReport(options, Console.Out, Console.Error);
    var simulator = new Simulator(options, TimeProvider.System, (device, onLost) => new MqttDeviceLink(options, device, onLost), report);
    Totals totals = await simulator.RunAsync(stop.Token);
    Console.WriteLine(totals.ToJson());
    if (totals.Connects == 0)
    {
        await Console.Error.WriteLineAsync($"no device could connect to {options.Host}:{options.Port}");
        return ExitCode.Failed;
    }
    return ExitCode.Done;
}
