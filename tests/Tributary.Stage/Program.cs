using Tributary.Stage;

if (args is not [var kafka, var source, var target, var name])
{
    Console.Error.WriteLine("usage: tributary-stage KAFKA SOURCE TARGET NAME");
    return 2;
}
using var stop = new CancellationTokenSource();
Console.CancelKeyPress += (_, signal) =>
{
    signal.Cancel = true;
    stop.Cancel();
};
return new ChainStage(kafka, source, target, name).Run(stop.Token);
