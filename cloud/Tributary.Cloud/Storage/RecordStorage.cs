using Microsoft.Extensions.DependencyInjection;
using Orleans.Configuration;
using Orleans.Storage;

namespace Tributary.Cloud.Storage;

/// <summary>Sets up where grains keep their records.</summary>
internal static class RecordStorage
{
    /// <summary>What grains call it.</summary>
    public const string Name = "control";

    private const string BlockingName = "control-blocking";

    /// <summary>Has grains keep their records in the control database.</summary>
    public static void AddRecordStorage(this ISiloBuilder orleans, ControlDatabase control)
    {
        orleans.AddAdoNetGrainStorage(BlockingName, (AdoNetGrainStorageOptions storage) =>
        {
            storage.Invariant = ControlDatabase.Invariant;
            storage.DataSource = control;
            storage.GrainStorageSerializer = new RecordSerializer();
        });
        orleans.Services.AddKeyedSingleton<IGrainStorage>(
            Name, (services, _) => new OffTurnStorage(services.GetRequiredKeyedService<IGrainStorage>(BlockingName)));
    }
}
