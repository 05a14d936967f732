"""What is known to be harmless in a model, and what is known not to be; everything else is refused."""

from __future__ import annotations

import re


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


#: Layers of Keras 2.2 to 3, none of which runs foreign code or opens a file.
LAYERS = _names("""
    Activation ActivityRegularization AdaptiveAveragePooling1D AdaptiveAveragePooling2D AdaptiveAveragePooling3D
    AdaptiveMaxPooling1D AdaptiveMaxPooling2D AdaptiveMaxPooling3D Add AdditiveAttention AlphaDropout Attention AugMix
    AutoContrast Average AveragePooling1D AveragePooling2D AveragePooling3D AvgPool1D AvgPool2D AvgPool3D
    BatchNormalization BatchNormalizationV1 BatchNormalizationV2 Bidirectional CategoryEncoding CenterCrop Concatenate
    ContrastLimitedAdaptiveHistogramEqualization Conv1D Conv1DTranspose Conv2D Conv2DTranspose Conv3D Conv3DTranspose
    ConvLSTM1D ConvLSTM2D ConvLSTM3D Convolution1D Convolution1DTranspose Convolution2D Convolution2DTranspose
    Convolution3D Convolution3DTranspose Cropping1D Cropping2D Cropping3D CutMix Dense DepthwiseConv1D DepthwiseConv2D
    Discretization Dot Dropout ELU EinsumDense Embedding Equalization Flatten Functional GRU GRUCell GaussianDropout
    GaussianNoise GlobalAveragePooling1D GlobalAveragePooling2D GlobalAveragePooling3D GlobalAvgPool1D GlobalAvgPool2D
    GlobalAvgPool3D GlobalMaxPool1D GlobalMaxPool2D GlobalMaxPool3D GlobalMaxPooling1D GlobalMaxPooling2D
    GlobalMaxPooling3D GroupNormalization GroupQueryAttention HashedCrossing Hashing Identity InputLayer InputSpec LSTM
    LSTMCell LayerNormalization LeakyReLU LocallyConnected1D LocallyConnected2D Masking MaxNumBoundingBoxes MaxPool1D
    MaxPool2D MaxPool3D MaxPooling1D MaxPooling2D MaxPooling3D Maximum MelSpectrogram Minimum MixUp Model
    MultiHeadAttention Multiply Normalization PReLU Permute Pipeline RMSNormalization RNN RandAugment RandomBrightness
    RandomColorDegeneration RandomColorJitter RandomContrast RandomCrop RandomElasticTransform RandomErasing RandomFlip
    RandomGaussianBlur RandomGrayscale RandomHeight RandomHue RandomInvert RandomPerspective RandomPosterization
    RandomRotation RandomSaturation RandomSharpness RandomShear RandomTranslation RandomWidth RandomZoom ReLU
    RepeatVector Rescaling Reshape Resizing ReversibleEmbedding STFTSpectrogram SeparableConv1D SeparableConv2D
    SeparableConvolution1D SeparableConvolution2D Sequential SimpleRNN SimpleRNNCell Softmax Solarization
    SpatialDropout1D SpatialDropout2D SpatialDropout3D SpectralNormalization StackedRNNCells Subtract ThresholdedReLU
    TimeDistributed UnitNormalization UpSampling1D UpSampling2D UpSampling3D Wrapper ZeroPadding1D ZeroPadding2D
    ZeroPadding3D""")

#: Layers of the models in `keras.applications`, which stand in modules of their own.
APPLICATIONS = frozenset({"CustomScaleLayer", "LayerScale"})

#: Where Keras 2 takes some initialisers from.
INITIALIZERS = "tensorflow.python.ops.init_ops_v2"

#: Layers that may read a vocabulary from a file.
LOOKUPS = frozenset({"StringLookup", "IntegerLookup", "TextVectorization"})

#: Initialisers, regularisers, constraints, number formats, and what Keras writes plain values as.
PARTS = _names("""
    Constant GlorotNormal GlorotUniform HeNormal HeUniform Identity IdentityInitializer LecunNormal LecunUniform
    Ones Orthogonal OrthogonalInitializer RandomNormal RandomUniform STFT STFTInitializer TruncatedNormal
    VarianceScaling Zeros constant glorot_normal glorot_uniform he_normal he_uniform identity lecun_normal
    lecun_uniform ones orthogonal random_normal random_uniform stft truncated_normal variance_scaling zeros
    L1 L1L2 L2 OrthogonalRegularizer l1 l1_l2 l2 orthogonal_regularizer
    MaxNorm MinMaxNorm NonNeg RadialConstraint UnitNorm max_norm min_max_norm non_neg radial_constraint unit_norm
    DTypePolicy DTypePolicyMap FloatDTypePolicy Policy QuantizedDTypePolicy QuantizedFloat8DTypePolicy SeedGenerator
    TypeSpec TensorShape __keras_tensor__ __tensor__ __numpy__ __bytes__ __ellipsis__ __slice__ __tuple__
    __typespec__""")

#: Functions that a layer may name.
FUNCTIONS = _names("""
    celu elu exponential gelu glu hard_shrink hard_sigmoid hard_silu hard_swish hard_tanh leaky_relu linear
    log_sigmoid log_softmax mish relu relu6 selu sigmoid silu soft_shrink softmax softplus softsign sparse_plus
    sparse_sigmoid sparsemax squareplus swish tanh tanh_shrink threshold""")

#: TensorFlow functions that a Keras 2 model may call as a layer: arithmetic that touches nothing but its arguments.
TENSORFLOW = re.compile(
    r"(?:(?:math|nn|linalg|image|__operators__)\.[a-z0-9_]+)|(?:compat\.v1\.(?:shape|transpose|gather))|"
    r"(?:add_n|broadcast_to|cast|clip_by_value|concat|convert_to_tensor|expand_dims|fill|gather|identity|one_hot|"
    r"ones_like|pad|repeat|reshape|reverse|shape|slice|split|squeeze|stack|stop_gradient|strided_slice|tile|transpose|"
    r"unstack|where|zeros_like)"
)

#: Classes that run code, and how.
CODE = {
    "Lambda": "a Lambda layer holds Python code, which loading would run",
    "__lambda__": "Python code, which loading would run",
    "TFSMLayer": "a TFSMLayer loads and runs another model by its path",
    "JaxLayer": "a JaxLayer holds code",
    "FlaxLayer": "a FlaxLayer holds code",
    "TorchModuleWrapper": "a TorchModuleWrapper holds a pickle, which can run anything when it is read",
    "ClassMethod": "calls a method by its name",
    "InstanceMethod": "calls a method by its name",
    "InstanceProperty": "reads an attribute by its name",
    "TensorFlowOpLayer": "runs an operation of TensorFlow by its name",
}

#: Operations that are stateful and yet do nothing outside the graph: variables, calls of functions, chance, and
#: assertions.
STATEFUL = _names("""
    Assert AssignAddVariableOp AssignSubVariableOp AssignVariableOp Case CheckNumerics CheckNumericsV2
    DisableCopyOnRead Empty GuaranteeConst If IsResourceHandleRefCounting Multinomial RandomGamma RandomPoissonV2
    RandomShuffle RandomStandardNormal RandomUniform RandomUniformInt ReadVariableOp ResourceGather ResourceGatherNd
    RngReadAndSkip RngSkip StatefulPartitionedCall StatefulStandardNormalV2 StatefulTruncatedNormal StatefulUniform
    StatefulUniformFullInt StatefulUniformInt StatelessRandomGetAlg TensorArrayCloseV3 TensorArrayConcatV3
    TensorArrayGatherV3 TensorArrayGradV3 TensorArrayReadV3 TensorArrayScatterV3 TensorArraySizeV3 TensorArraySplitV3
    TensorArrayV3 TensorArrayWriteV3 TruncatedNormal VarHandleOp VarIsInitializedOp VariableShape While""")

#: Operations that reach outside though TensorFlow calls them stateless: files, Python, devices, data sets, debuggers.
REACHING = re.compile(
    r"_.*|.*(?:File|PyFunc|Dataset|Debug|Snapshot|Xla|Tpu|TPU|Rpc|Send|Recv|Host|VocabRemapping|Copy).*|"
    r"ImmutableConst"
)
