import { ghostify } from './ghostify.js';
import type { ClassifierOptions } from './options.js';
import { type CifarResNet, type ResNet, type ResNetOptions, resnet50, resnet56 } from './resnet.js';
import { type Vgg, type VggOptions, vgg16 } from './vgg.js';

/**
 * The networks that the GhostNet paper makes by putting Ghost modules in the place of convolutions: Han et al., CVPR 2020
 * (arXiv:1911.11907), tables 5 (CIFAR-10) and 6 (ImageNet).
 */

const CIFAR_SIZE = 32;
const IMAGENET_SIZE = 224;

const imageOf = ({ inChannels }: { inChannels: number }, size: number) => [1, inChannels, size, size];

/** Ghost-VGG-16 for CIFAR-10: every convolution but the first. */
export function ghostVgg16(options: VggOptions = {}, ratio = 2): Vgg {
  const model = vgg16(options);
  return ghostify(model, { ratio, input: imageOf(model, CIFAR_SIZE) });
}

/** Ghost-ResNet-56 for CIFAR-10: every convolution but the first. */
export function ghostResnet56(options: ClassifierOptions = {}, ratio = 2): CifarResNet {
  const model = resnet56(options);
  return ghostify(model, { ratio, input: imageOf(model, CIFAR_SIZE) });
}

/** Ghost-ResNet-50 for ImageNet, with ratio 2 or 4 in the paper: every convolution but the first, those of the shortcuts too. */
export function ghostResnet50(options: ResNetOptions = {}, ratio = 2): ResNet {
  const model = resnet50(options);
  return ghostify(model, { ratio, input: imageOf(model, IMAGENET_SIZE) });
}
