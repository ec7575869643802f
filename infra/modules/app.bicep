// The Function App on Flex Consumption. Its address stays reachable, since people's clients call it; every route but
// /api/health, which says that it lives and reads nothing, checks an Entra token. In production everything that it calls goes through the network.
param name string
param location string
param identityId string
param identityClientId string
param identityPrincipalId string
param workspaceId string
param insightsName string
param storageName string
param packageContainer string
param subnetId string
param isPrivate bool
param zoneRedundant bool = true
param instances object
param settings object
param tags object

resource storage 'Microsoft.Storage/storageAccounts@2023-05-01' existing = {
  name: storageName
}

resource insights 'Microsoft.Insights/components@2020-02-02' existing = {
  name: insightsName
}

var allSettings = union(settings, {
  AZURE_CLIENT_ID: identityClientId
  AzureWebJobsStorage__accountName: storage.name
  AzureWebJobsStorage__credential: 'managedidentity'
  AzureWebJobsStorage__clientId: identityClientId
  SERVICEBUS__credential: 'managedidentity'
  SERVICEBUS__clientId: identityClientId
  DURABLE_TASK_SCHEDULER: '${settings.DURABLE_TASK_SCHEDULER};ClientID=${identityClientId}'
  APPLICATIONINSIGHTS_CONNECTION_STRING: insights.properties.ConnectionString
  APPLICATIONINSIGHTS_AUTHENTICATION_STRING: 'ClientId=${identityClientId};Authorization=AAD'
})

resource plan 'Microsoft.Web/serverfarms@2024-04-01' = {
  name: 'plan-${name}'
  location: location
  tags: tags
  kind: 'functionapp'
  sku: { name: 'FC1', tier: 'FlexConsumption' }
  properties: { reserved: true, zoneRedundant: zoneRedundant }
}

resource app 'Microsoft.Web/sites@2024-04-01' = {
  // checkov:skip=CKV_AZURE_222:People's chat clients call it. Every route but /api/health checks an Entra token; put a gateway before it if your network asks for one.
  // checkov:skip=CKV_AZURE_17:Callers are told apart by their Entra token, which chat clients have; client certificates they have not.
  // checkov:skip=CKV_AZURE_212:Flex Consumption has instances that are always ready in the place of a minimum.
  name: 'func-${name}'
  location: location
  tags: union(tags, { 'azd-service-name': 'api' })
  kind: 'functionapp,linux'
  identity: { type: 'UserAssigned', userAssignedIdentities: { '${identityId}': {} } }
  properties: {
    serverFarmId: plan.id
    httpsOnly: true
    publicNetworkAccess: 'Enabled'
    virtualNetworkSubnetId: isPrivate ? subnetId : null
    keyVaultReferenceIdentity: identityId
    clientCertEnabled: false
    siteConfig: {
      appSettings: [for each in items(allSettings): { name: each.key, value: each.value }]
      minTlsVersion: '1.2'
      scmMinTlsVersion: '1.2'
      http20Enabled: true
      ftpsState: 'Disabled'
      remoteDebuggingEnabled: false
      healthCheckPath: '/api/health'
      cors: { allowedOrigins: [] }
    }
    functionAppConfig: {
      deployment: {
        storage: {
          type: 'blobContainer'
          value: '${storage.properties.primaryEndpoints.blob}${packageContainer}'
          authentication: { type: 'UserAssignedIdentity', userAssignedIdentityResourceId: identityId }
        }
      }
      scaleAndConcurrency: {
        maximumInstanceCount: instances.most
        instanceMemoryMB: instances.memory
        alwaysReady: instances.http == 0 ? [] : [
          { name: 'http', instanceCount: instances.http }
          { name: 'durable', instanceCount: 1 }
        ]
      }
      runtime: { name: 'python', version: '3.13' }
    }
  }
}

resource basicAuth 'Microsoft.Web/sites/basicPublishingCredentialsPolicies@2024-04-01' = [for each in ['ftp', 'scm']: {
  parent: app
  name: each
  properties: { allow: false }
}]

resource diagnostics 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'to-the-workspace'
  scope: app
  properties: {
    workspaceId: workspaceId
    logs: [{ category: 'FunctionAppLogs', enabled: true }]
    metrics: [{ category: 'AllMetrics', enabled: true }]
  }
}

output url string = 'https://${app.properties.defaultHostName}'
output principalId string = identityPrincipalId
