// Blob Storage: uploaded documents, the app's package, and what the Functions host keeps (locks, timers). Keys off.
param name string
param location string
param principalId string
param documents string
param workspaceId string
param identityId string
param customerManagedKeyUri string
param isPrivate bool
@allowed(['Disabled', 'Enabled'])
param publicAccess string = 'Disabled'
@allowed(['Deny', 'Allow'])
param othersMay string = 'Deny'
param endpointSubnetId string
param dnsZoneIds object
param tags object

resource account 'Microsoft.Storage/storageAccounts@2023-05-01' = {
  // checkov:skip=CKV_AZURE_43:platform.bicep makes the name: at most 24 lower-case letters and digits.
  // checkov:skip=CKV_AZURE_206:Nothing is replicated to another region (claim T1); production is redundant across zones.
  name: name
  location: location
  tags: tags
  kind: 'StorageV2'
  sku: { name: isPrivate ? 'Standard_ZRS' : 'Standard_LRS' }
  identity: { type: 'UserAssigned', userAssignedIdentities: { '${identityId}': {} } }
  properties: {
    allowSharedKeyAccess: false
    allowBlobPublicAccess: false
    allowCrossTenantReplication: false
    defaultToOAuthAuthentication: true
    minimumTlsVersion: 'TLS1_2'
    supportsHttpsTrafficOnly: true
    publicNetworkAccess: publicAccess
    networkAcls: { defaultAction: othersMay, bypass: 'AzureServices' }
    encryption: empty(customerManagedKeyUri) ? null : {
      keySource: 'Microsoft.Keyvault'
      identity: { userAssignedIdentity: identityId }
      keyvaultproperties: {
        keyvaulturi: '${split(customerManagedKeyUri, '/keys/')[0]}/'
        keyname: split(customerManagedKeyUri, '/keys/')[1]
      }
    }
  }
}

resource blobs 'Microsoft.Storage/storageAccounts/blobServices@2023-05-01' = {
  parent: account
  name: 'default'
  properties: { deleteRetentionPolicy: { enabled: false } }
}

resource containers 'Microsoft.Storage/storageAccounts/blobServices/containers@2023-05-01' = [for each in [documents, 'package']: {
  parent: blobs
  name: each
  properties: { publicAccess: 'None' }
}]

// What the Functions host needs of its storage, and the documents: Storage Blob Data Owner.
// https://learn.microsoft.com/azure/azure-functions/functions-reference#connecting-to-host-storage-with-an-identity
var owner = subscriptionResourceId('Microsoft.Authorization/roleDefinitions', 'b7e6dc6d-f1e8-4753-8033-0f276bb0955b')

resource keepsBlobs 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(account.id, principalId, owner)
  scope: account
  properties: { principalId: principalId, principalType: 'ServicePrincipal', roleDefinitionId: owner }
}

resource diagnostics 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'to-the-workspace'
  scope: blobs
  properties: {
    workspaceId: workspaceId
    logs: [{ categoryGroup: 'allLogs', enabled: true }]
    metrics: [{ category: 'Transaction', enabled: true }]
  }
}

module endpoint 'endpoint.bicep' = if (isPrivate) {
  name: 'endpoint-blob'
  params: {
    name: account.name
    location: location
    targetId: account.id
    groupId: 'blob'
    subnetId: endpointSubnetId
    dnsZoneIds: isPrivate ? [dnsZoneIds.blob] : []
    tags: tags
  }
}

output name string = account.name
output blobEndpoint string = account.properties.primaryEndpoints.blob
output packageContainer string = 'package'
