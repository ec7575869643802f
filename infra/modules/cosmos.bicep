// Cosmos DB: Strong, one region that is written and read, keys off. The containers are those of resources.json.
param name string
param location string
param principalId string
param database string
param containers array
param embeddingDimensions int
param workspaceId string
param identityId string
param customerManagedKeyUri string
param isPrivate bool
@allowed(['Disabled', 'Enabled'])
param publicAccess string = 'Disabled'
param endpointSubnetId string
param dnsZoneIds object
param tags object

resource account 'Microsoft.DocumentDB/databaseAccounts@2024-11-15' = {
  // checkov:skip=CKV_AZURE_101:Disabled is the parameter's default; the size "dev" alone sets it otherwise.
  name: 'cosmos-${name}'
  location: location
  tags: tags
  kind: 'GlobalDocumentDB'
  identity: { type: 'UserAssigned', userAssignedIdentities: { '${identityId}': {} } }
  properties: {
    databaseAccountOfferType: 'Standard'
    consistencyPolicy: { defaultConsistencyLevel: 'Strong' }
    locations: [{ locationName: location, failoverPriority: 0, isZoneRedundant: isPrivate }]
    enableMultipleWriteLocations: false
    enableAutomaticFailover: false
    disableLocalAuth: true
    disableKeyBasedMetadataWriteAccess: true
    minimalTlsVersion: 'Tls12'
    publicNetworkAccess: publicAccess
    networkAclBypass: 'None'
    backupPolicy: { type: 'Continuous', continuousModeProperties: { tier: 'Continuous7Days' } }
    capabilities: concat([{ name: 'EnableNoSQLVectorSearch' }], isPrivate ? [] : [{ name: 'EnableServerless' }])
    defaultIdentity: empty(customerManagedKeyUri) ? 'FirstPartyIdentity' : 'UserAssignedIdentity=${identityId}'
    keyVaultKeyUri: empty(customerManagedKeyUri) ? null : customerManagedKeyUri
  }
}

resource db 'Microsoft.DocumentDB/databaseAccounts/sqlDatabases@2024-11-15' = {
  parent: account
  name: database
  properties: { resource: { id: database } }
}

resource container 'Microsoft.DocumentDB/databaseAccounts/sqlDatabases/containers@2024-11-15' = [for each in containers: {
  parent: db
  name: each.name
  properties: {
    options: isPrivate ? { autoscaleSettings: { maxThroughput: 4000 } } : {}
    resource: {
      id: each.name
      partitionKey: { paths: [each.partition_key], kind: 'Hash', version: 2 }
      defaultTtl: each.expires ? -1 : null
      indexingPolicy: {
        indexingMode: 'consistent'
        automatic: true
        includedPaths: [{ path: '/*' }]
        excludedPaths: [for path in each.not_indexed: { path: path }]
        vectorIndexes: [for path in each.vectors: { path: path, type: 'quantizedFlat' }]
      }
      vectorEmbeddingPolicy: {
        vectorEmbeddings: [for path in each.vectors: {
          path: path
          dataType: 'float32'
          distanceFunction: 'cosine'
          dimensions: embeddingDimensions
        }]
      }
    }
  }
}]

// Reads and writes items of the one database (Cosmos DB Built-in Data Contributor): no container, no key, no setting.
resource writesItems 'Microsoft.DocumentDB/databaseAccounts/sqlRoleAssignments@2024-11-15' = {
  parent: account
  name: guid(account.id, principalId, 'data')
  properties: {
    principalId: principalId
    roleDefinitionId: '${account.id}/sqlRoleDefinitions/00000000-0000-0000-0000-000000000002'
    scope: '${account.id}/dbs/${database}'
  }
  dependsOn: [db]
}

resource diagnostics 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'to-the-workspace'
  scope: account
  properties: {
    workspaceId: workspaceId
    logs: [
      { category: 'ControlPlaneRequests', enabled: true }
      { category: 'DataPlaneRequests', enabled: true }
    ]
    metrics: [{ category: 'Requests', enabled: true }]
  }
}

module endpoint 'endpoint.bicep' = if (isPrivate) {
  name: 'endpoint-cosmos'
  params: {
    name: account.name
    location: location
    targetId: account.id
    groupId: 'Sql'
    subnetId: endpointSubnetId
    dnsZoneIds: isPrivate ? [dnsZoneIds.cosmos] : []
    tags: tags
  }
}

output endpoint string = account.properties.documentEndpoint
