using Microsoft.Extensions.DependencyInjection;
using Orleans.Storage;

namespace Tributary.Cloud.Storage;

/// <summary>Sets up where grains keep their records.</summary>
internal static class RecordStorage
{
    /// <summary>What grains call it.</summary>
    public const string Name = "control";

    /// <summary>Has grains keep their records in the control database.</summary>
    public static void AddRecordStorage(this ISiloBuilder orleans, ControlDatabase control) =>
        orleans.Services.AddKeyedSingleton<IGrainStorage>(Name, new RecordStore(control));
}
